"""Blocks of cutouts, from a source that is made up: what is written where, and what is said of each."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stronglens.packing import blocks
from stronglens.packing.blocks import Block, Reads, Wanted, pack_blocks
from stronglens.sources.protocol import Entry, Reading, Request
from stronglens.sources.rejected import Rejected

SIDE = 5
GOOD = np.arange(SIDE * SIDE, dtype=np.float64).reshape(SIDE, SIDE)


class Images:
    """Images by path."""

    def __init__(self, images: dict[str, Any]) -> None:
        self._images = images
        self.n_readers = 0

    def check(self) -> None:
        pass

    def entries(self) -> Iterator[Entry]:
        return iter(())

    def reader(self) -> "Images":
        self.n_readers += 1
        return self

    def read_block(self, requests: Sequence[Request]) -> Iterator[Reading | Rejected]:
        for request in requests:
            image = self._images[request.path]
            yield image if isinstance(image, Reading | Rejected) else Reading(np.asarray(image), request.path)


def packed(
    tmp_path: Path,
    images: dict[str, Any],
    *,
    start: int = 3,
    non_finite: Any = "reject",
    fit: Any = "refuse",
    sentinels: tuple[float, ...] = (),
) -> tuple[list[Block], npt.NDArray[np.float32]]:
    """What packing says of these images, and what it wrote after the first bytes."""
    source = Images(images)
    target = tmp_path / "cutouts"
    target.write_bytes(b"\0" * start)
    reads = Reads([source], [fit], [sentinels], SIDE, non_finite)
    requests = [Request(path, 0, "g") for path in images]

    def wanted(first: int, last: int) -> Wanted:
        part = requests[first:last]
        return Wanted([0] * len(part), part)

    found = list(pack_blocks(wanted, len(requests), reads, target, start, 1))
    assert source.n_readers <= 1  # it may keep files open
    content = target.read_bytes()
    n_whole = (len(content) - start) // 4
    return found, np.frombuffer(content, "<f4", n_whole, start).reshape(-1, SIDE, SIDE)


def test_cutouts_lie_in_order_and_rejected_ones_leave_no_gap(tmp_path: Path) -> None:
    images = {
        "a": GOOD,
        "empty": np.zeros((SIDE, SIDE)),
        "large": np.ones((SIDE + 2, SIDE)),
        "b": GOOD[::-1].astype(">f4"),
        "lost": Rejected("unreadable", "truncated"),
        "nan": np.where(GOOD == 3, np.nan, GOOD),
        "absurd": np.where(GOOD == 3, 1e30, GOOD),
        "c": -GOOD,
    }
    (block,), pixels = packed(tmp_path, images)
    np.testing.assert_array_equal(pixels, np.stack([GOOD, GOOD[::-1], -GOOD]).astype(np.float32))
    assert block.header_ids == ["a", "b", "c"]
    assert block.rejected == {
        1: "constant image (0 everywhere)",
        2: "wrong shape (expected 5 x 5, found 7 x 5; fit: crop takes the centre of larger ones)",
        4: "unreadable (truncated)",
        5: "non-finite pixels (1)",
        6: "absurd values (from 0 to 1e+30)",
    }
    assert (block.filled, block.n_fitted) == ({}, 0)
    expected = [hashlib.sha256(image.astype("<f4").tobytes()).hexdigest()[:32] for image in pixels]
    assert block.pixel_hashes == expected


def test_each_block_begins_at_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_FILES", 3)
    monkeypatch.setattr(blocks, "_AT_A_TIME", 2)
    images: dict[str, Any] = {str(number): GOOD + number for number in range(8)}
    images["1"] = images["5"] = Rejected("gone")
    found, pixels = packed(tmp_path, images)
    assert [block.header_ids for block in found] == [["0", "2"], ["3", "4"], ["6", "7"]]
    assert [list(block.rejected) for block in found] == [[1], [2], []]
    for place, number in ((0, 0), (1, 2), (3, 3), (4, 4), (6, 6), (7, 7)):
        np.testing.assert_array_equal(pixels[place], (GOOD + number).astype(np.float32))


def test_what_is_filled_and_fitted_is_counted(tmp_path: Path) -> None:
    hole = np.where(GOOD < 2, np.nan, GOOD)
    marked = GOOD - 9999.0
    marked[1:] = GOOD[1:]
    large = np.pad(GOOD, 1, constant_values=77)
    images = {"whole": GOOD, "hole": hole, "large": large, "marked": marked}
    (block,), pixels = packed(tmp_path, images, non_finite="fill", fit="crop", sentinels=(-9999.0,))
    np.testing.assert_array_equal(pixels[1].ravel()[:2], np.median(GOOD[GOOD >= 2]))
    np.testing.assert_array_equal(pixels[2], GOOD.astype(np.float32))
    assert block.n_fitted == 1
    assert block.filled == {1: 2, 3: 1}  # -9999 itself is the sentinel, -9998 is a value


def test_what_a_source_says_is_kept(tmp_path: Path) -> None:
    images = {"a": Reading(GOOD, "id", 150.5, 2.25, "nJy", 31.4), "b": Reading(GOOD + 1)}
    (block,), _ = packed(tmp_path, images)
    assert block.header_ids == ["id", ""]
    assert block.units == ["nJy", ""]
    assert block.numbers[0] == (150.5, 2.25, 31.4)
    assert np.isnan(block.numbers[1]).all()


def test_a_name_that_is_no_text_is_rejected(tmp_path: Path) -> None:
    (block,), pixels = packed(tmp_path, {"\udcff": GOOD, "ä": GOOD})
    assert block.rejected == {0: "name is not UTF-8"}
    assert len(pixels) == 1


def test_values_at_the_edge_of_what_is_measured(tmp_path: Path) -> None:
    """Images that are judged all at once and one by one have one limit, 1e18."""
    edges = (0.998e18, 1e18, 1.001e18, -1.1e18)
    images = {str(edge): np.where(GOOD == 3, edge, GOOD) for edge in edges}
    (block,), _ = packed(tmp_path, images)
    assert list(block.rejected) == [2, 3]
