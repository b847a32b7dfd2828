"""Probabilities from the packed array, against eager timm on images in memory; memory and compile time."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import harness
import numpy as np
import numpy.typing as npt
import torch
from harness import Way
from made_data import SIDE_PX, write_packed
from networks_here import (
    compile_anew,
    flops_of,
    matrix_rate,
    our_network,
    random_samples,
    timm_network,
    wait_for,
)
from watched import Watched, run_step

from stronglens.formats.member_files import write_member
from stronglens.formats.packed import open_packed
from stronglens.networks.compiled import Forward
from stronglens.networks.device import choose_device
from stronglens.networks.forward import logits_of
from stronglens.networks.precision import autocast, autocast_dtype
from stronglens.networks.samples import make_samples
from stronglens.prediction.predict_member import predict_pieces
from stronglens.settings.member import MemberSettings

BATCH = 512


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv)
    device = choose_device(options.device)
    dtype = autocast_dtype(device, "auto")
    on_gpu = device.type == "cuda"
    batch = options.pick(tiny=16, short=BATCH, full=BATCH)
    n = options.pick(tiny=20, short=500_000 if on_gpu else 8000, full=1_000_000 if on_gpu else 40_000)
    settings = MemberSettings.model_validate(
        {"network": options.network, "preprocess": {"smoothing": "gaussian"}}
    )
    twin = timm_network(options.network, device).eval()
    network = our_network(options.network, twin, device)
    forward, seconds = compile_anew(network, batch, device, dtype, learn=False, size=options.size)
    with tempfile.TemporaryDirectory() as folder:
        packed = open_packed(write_packed(Path(folder, "packed"), n), check=False)
        index = packed.index
        samples = make_samples(index, "each", np.ones(len(index), dtype=bool), packed.summary.bands)
        many = 100 if on_gpu else 1
        random = random_samples(min(n, 8 * many * batch), device)
        few = random_samples(min(n, 2 * many * batch), device)
        naive_batch = batch if on_gpu else 128  # what suits each best: smaller batches stay in a CPU's cache

        def predict(run: Forward | None) -> npt.NDArray[np.float64]:
            chunks = predict_pieces(network, [(packed, samples)], n, settings, device, batch, run)
            return np.concatenate([probs for _, probs, _ in chunks])

        def naive() -> None:
            with torch.inference_mode(), autocast(device, dtype):
                for part in torch.split(few.images[:, None], naive_batch):
                    twin(part)
            wait_for(device)

        ours, limit = "from the packed array, compiled", "limit: compiled, images in memory"
        default = "timm's default, images in memory"
        ways = [
            Way(ours, lambda: predict(forward), len(samples)),
            Way("from the packed array, as it is", lambda: predict(None), len(samples)),
            Way(default, naive, len(few)),
            Way(
                limit,
                lambda: logits_of(network, random, dtype, batch, fill=True, forward=forward).cpu(),
                len(random),
            ),
        ]
        off = np.abs(predict(forward) - predict(None)).max()
        result = harness.race(ways, options.n_rounds)
        sizes = options.pick(tiny=(n,), short=(n // 4, n), full=(n // 4, n))
        memory = [_memory(Path(folder), network, settings, options, size) for size in sizes]
    harness.print_title(f"Inference: {options.network}, batches of {batch}", options, ["torch", "timm"])
    harness.print_race(result, "images")
    gain = result.ratio(ours, default)
    harness.print_goal("at least 2.3 x timm's default", f"{gain:.2f} x", met=gain >= 2.3)
    harness.print_goal(
        "compiled and as it is agree", f"{off:.1e} apart", met=bool(off < (1e-2 if dtype else 1e-5))
    )
    if on_gpu:
        share = result.ratio(ours, limit)
        harness.print_goal("within 10 % of images in memory", f"{share:.2f} x", met=share >= 0.9)
    for size, watched in memory:
        told = (
            f"{watched.private_mb:.0f} MB for {size:,} cutouts, {watched.seconds:.1f} s from start to files"
        )
        met = watched.private_mb < 1500
        harness.print_goal("a whole step within 1.5 GB of private memory", told, met=met)
    pays_from = seconds / (1 / result.rate(ways[1].name) - 1 / result.rate(ours))
    print(f"- compiling took {seconds:.0f} s, which is paid back by {pays_from:,.0f} images")
    if on_gpu:
        share = flops_of(network, device) * result.rate(ours) / matrix_rate(device)
        print(f"- {share:.1%} of the card's rate in large bfloat16 products")
    return 0


def _memory(
    folder: Path, network: torch.nn.Module, settings: MemberSettings, options: harness.Options, n: int
) -> tuple[int, Watched]:
    """Number of cutouts, and what the step that predicts them took, its files written, not compiled."""
    member, packed = folder / "member", folder / f"packed_{n}"
    description = {"model": "bench", "seed": 1, "settings": settings.model_dump(mode="json")}
    write_member(
        member, network.state_dict(), {**description, "size_px": SIDE_PX, "in_chans": 1, "imported": True}
    )
    write_packed(packed, n)
    watched = run_step(
        "predict.py",
        *("--member", member, "--packed", packed, "--out-dir", folder / "predictions"),
        *("--device", options.device, "--compile", "never"),
    )
    return n, watched


if __name__ == "__main__":
    sys.exit(main())
