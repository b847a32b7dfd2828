"""A capsule applied to images in memory: onnxruntime, PyTorch as it is and compiled; sizes of capsules."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from harness import Way
from made_data import BANDS, SIDE_PX, make_images
from networks_here import compile_anew, our_network, timm_network
from safetensors.torch import save as save_safetensors
from torch import nn

import stronglens
from stronglens.finder.finder import Finder
from stronglens.finder.members import TorchEngine, TorchMember, load_members
from stronglens.finder.onnx_graph import onnx_graph
from stronglens.formats.capsule import GRAPH, Manifest, read_capsule, write_capsule
from stronglens.networks.compiled import Forward
from stronglens.prediction.batch import BATCH_SIZE

CPU = torch.device("cpu")


class Compiled(nn.Module):
    """A compiled network where a network is expected."""

    def __init__(self, network: nn.Module, forward: Forward) -> None:
        super().__init__()
        self.network, self.compiled = network, forward

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.compiled(images)


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv, n_rounds=3)
    n = options.pick(tiny=4, short=600, full=6000)
    batch = options.pick(tiny=4 * len(BANDS), short=BATCH_SIZE, full=BATCH_SIZE)
    images = np.stack([make_images(n, seed) for seed in range(len(BANDS))], axis=1)
    network = our_network(options.network, timm_network(options.network, CPU), CPU).eval()
    with tempfile.TemporaryDirectory() as folder:
        small, whole = Path(folder, "small.capsule"), Path(folder, "whole.capsule")
        write(small, options.network, network, onnx=False)
        write(whole, options.network, network, onnx=True)
        sizes = {path.stem: path.stat().st_size / 1e6 for path in (small, whole)}
        with_torch = stronglens.load(whole, device="cpu", backend="torch")
        with_onnx = stronglens.load(whole, backend="onnx")
        forward, _ = compile_anew(network, batch, CPU, None, learn=False, size=options.size)
        capsule = read_capsule(whole)
        members = load_members(str(whole), capsule.manifest, capsule.read, "cpu")
        fast = [TorchMember(member.stated, Compiled(network, forward)) for member in members]
        compiled = Finder(capsule, TorchEngine(str(whole), capsule.manifest, fast))
    n_cutouts = images[:, :, 0, 0].size

    def way(name: str, finder: Finder) -> Way:
        return Way(name, lambda: finder.predict(images, batch_size=batch), n_cutouts)

    ways = [
        way("onnxruntime", with_onnx),
        way("PyTorch, as it is", with_torch),
        way("PyTorch, compiled", compiled),
    ]
    found = [finder.predict(images, batch_size=batch).prob for finder in (with_onnx, with_torch, compiled)]
    off = max(np.abs(one - found[1]).max() for one in found)
    result = harness.race(ways, options.n_rounds)
    harness.print_title(
        f"A capsule: one {options.network} on single bands, {n:,} objects",
        options,
        ["torch", "timm", "onnxruntime"],
    )
    harness.print_race(result, "cutouts")
    harness.print_goal("the same probabilities", f"{off:.1e} apart", met=bool(off < 1e-5))
    print(f"- the capsule has {sizes['small']:.1f} MB, and with the graph {sizes['whole']:.1f} MB")
    return 0


def write(path: Path, name: str, network: nn.Module, *, onnx: bool) -> None:
    """Write a capsule of one network of random weights."""
    weights = "weights/bench_seed_1.safetensors"
    contents = {
        weights: save_safetensors({key: value.contiguous() for key, value in network.state_dict().items()})
    }
    settings = {"network": name, "preprocess": {"smoothing": "gaussian"}}
    member = {"model": "bench", "seed": 1, "settings": settings}
    stated: dict[str, Any] = {
        "name": "bench",
        "bands": list(BANDS),
        "size_px": SIDE_PX,
        "non_finite": "reject",
        "simulated": True,
        "members": [member | {"weights": weights, "weights_sha256": "0" * 64}],
        "combination": {},
        "threshold": 0.5,
        "threshold_interval": None,
        "scores": {},
        "data": {},
        "code": {},
        "versions": {},
        "licence": "none",
        "citation": "none",
    }
    if onnx:
        manifest = Manifest.model_validate(
            {**stated, "files": {weights: {"sha256": "0" * 64, "n_bytes": len(contents[weights])}}}
        )
        contents[GRAPH] = onnx_graph(manifest, load_members(str(path), manifest, contents.__getitem__, "cpu"))
    write_capsule(path, stated, contents)


if __name__ == "__main__":
    sys.exit(main())
