"""The eight symmetries of the square, against NumPy's turns and mirrors."""

import numpy as np
import pytest
import torch

from stronglens.networks.symmetries import dihedral


def test_symmetries_are_eight_and_keep_the_layout():
    image = torch.arange(9.0).view(1, 1, 3, 3)
    views = [dihedral(image, number) for number in range(8)]
    assert len({tuple(view.flatten().tolist()) for view in views}) == 8
    assert torch.equal(views[0], image)
    assert all(view.is_contiguous() and view.sum() == image.sum() for view in views)
    with pytest.raises(ValueError, match="from 0 to 7"):
        dihedral(image, 8)


def test_they_are_the_turns_and_mirror_images() -> None:
    image = np.arange(9.0).reshape(3, 3)
    turns = [np.rot90(flat, times) for flat in (image, image.T) for times in range(4)]
    views = [dihedral(torch.from_numpy(image)[None, None], number)[0, 0].numpy() for number in range(8)]
    assert {view.tobytes() for view in views} == {turn.tobytes() for turn in turns}
    np.testing.assert_array_equal(views[1], image.T)
    np.testing.assert_array_equal(views[2], image[::-1])
    np.testing.assert_array_equal(views[4], image[:, ::-1])
    # x and y are exchanged first.
    np.testing.assert_array_equal(views[3], image.T[::-1])
