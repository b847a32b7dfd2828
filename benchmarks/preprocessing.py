"""Preprocessing packed cutouts (gaussian, normalise), against one by one, and against copying them."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import harness
import numpy as np
import torch
from harness import Way
from item_by_item import preprocess_item
from made_data import write_packed

from stronglens.formats.packed import open_packed
from stronglens.networks.device import choose_device
from stronglens.networks.preprocess import CHUNK_ON_CPU, context_of, preprocess_all
from stronglens.settings.preprocess import PreprocessSettings


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv, n_rounds=7)
    device = choose_device(options.device)
    settings = PreprocessSettings(smoothing="gaussian", gaussian_sigma_px=1.0)
    n_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        n = options.pick(tiny=100, short=40_000, full=200_000)
        packed = open_packed(write_packed(Path(folder, "packed"), n), check=False)
        rows = np.arange(len(packed.cutouts))
        known = context_of(packed, settings)
        few = rows[:2000]

        def preprocess_here(some: np.ndarray[tuple[int], np.dtype[np.int64]], n_used: int) -> None:
            torch.set_num_threads(n_used)
            preprocess_all(packed.cutouts, some, settings, known, device)[-1].cpu()

        def copy() -> None:
            for start in range(0, len(rows), CHUNK_ON_CPU):
                np.ascontiguousarray(packed.cutouts[rows[start : start + CHUNK_ON_CPU]])

        ours, naive = f"preprocess_all, {device.type}, {n_threads} threads", "NumPy and SciPy, one by one"
        ways = [
            Way(ours, lambda: preprocess_here(rows, n_threads), len(rows)),
            Way("preprocess_all, one thread", lambda: preprocess_here(rows[::4], 1), len(rows[::4])),
            Way(naive, lambda: [preprocess_item(packed.cutouts[row]) for row in few], len(few)),
            Way("limit: copying the same cutouts", copy, len(rows)),
        ]
        copy()  # into the page cache
        result = harness.race(ways, options.n_rounds)
    harness.print_title("Preprocessing: gaussian and normalise", options, ["numpy", "scipy", "torch"])
    harness.print_race(result, "cutouts")
    rate = result.rate(ours)
    harness.print_goal("at least 20,000 cutouts/s", f"{rate:,.0f} cutouts/s", met=rate >= 20_000)
    return 0


if __name__ == "__main__":
    sys.exit(main())
