"""The units of lens parameters."""

import numpy as np

from stronglens.networks.lens_scaling import fit_scaling


def test_units_go_and_come_back() -> None:
    values = np.array([[1.0, 20.0, 7.0], [3.0, np.nan, 7.0], [np.nan, 24.0, 7.0]])
    scaling = fit_scaling(["Rein", "mag_lens_i", "zlens"], values)
    assert scaling.means == (2.0, 22.0, 7.0)
    assert scaling.stds == (1.0, 2.0, 1.0)  # of what is the same everywhere, 1
    outputs = scaling.to_outputs(values)
    assert outputs[:, 0].tolist()[:2] == [-1.0, 1.0]
    assert np.isnan(outputs).sum() == 2
    assert np.allclose(scaling.from_outputs(outputs), values, equal_nan=True)
