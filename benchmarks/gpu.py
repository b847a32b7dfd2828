"""Whether the pipeline is right on a GPU, and how fast: a table of checks, one of rates, and goals.

`python benchmarks/gpu.py` ends within 8 minutes. It needs Python 3.11 or later, a tree, no Snakemake, and
beside torch and torchvision these packages with what they need: timm, pydantic, pydantic-settings, pandas,
pyarrow, astropy, scipy.

Each section is a process of its own with a time cap, so that one that fails or hangs takes nothing with it.
What is compiled for the sections that are timed is compiled before them, beside those that are not, and all
import what they need meanwhile. `--smoke` runs all of it on a CPU with a handful of samples: whether the
script works, and nothing else.
"""

# mypy: disable-error-code="no-untyped-call,arg-type,call-arg,operator,assignment,var-annotated"
# ruff: noqa: PLC0415, PLR0915 - each section imports what it checks: what is broken there breaks it alone

import argparse
import contextlib
import copy
import io
import json
import logging
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import harness
from gpu_goals import ALL_S, BATCH, MEMBERS, goals, shares_of_peak


@dataclass(frozen=True)
class Kind:
    """A network that is timed, and how it learns.

    Attributes
    ----------
    network : dict
        Settings of it.
    smoke : dict
        What a `--smoke` makes smaller in it.
    n_channels, n_lens, n_domains : int
        Bands that it takes at once, and lens parameters and domains that it also learns.
    train : dict
        Settings of its training.
    """

    network: dict[str, Any]
    smoke: dict[str, Any]
    n_channels: int = 1
    n_lens: int = 0
    n_domains: int = 0
    train: dict[str, Any] = field(default_factory=dict)


_LITTLE = {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}
KINDS = {
    "nano": Kind({"name": "convnextv2_nano", "drop_path": 0.1}, _LITTLE),
    "atto": Kind({"name": "convnextv2_atto", "drop_path": 0.1}, _LITTLE),
    # As in config/challenge_grizy.yaml, but for its crops.
    "recipe": Kind(
        {"name": "cutout_resnet", "timm": {"widths": [64, 128, 256]}},
        {"widths": [8, 16], "depths": [1, 1]},
        n_channels=5,
        n_lens=5,
        n_domains=2,
        train={"optimiser": "muon"},
    ),
}
"""Networks that are timed: two that see single bands, and one that sees five as our best recipe does."""
SECTIONS = {  # seconds at most
    "env": 40,
    "equal": 110,
    "resume": 110,
    "train": 150,
    "auc": 140,
    "naive": 40,
    **{f"ways:{kind}": 150 for kind in KINDS},
    "stream": 60,
    "shared": 90,
    **{f"predict:{kind}": 80 for kind in KINDS},
}
UNTIMED = ("equal", "resume", "train", "auc")
"""Sections in which nothing is timed: they run side by side."""
WARM_S = 150
"""Seconds at most of what compiles beforehand."""
SIDE_PX = 41
PRECISION = "bf16"
"""Of all that is timed."""
SMOKE_BATCH = 8
LOOKED_AT = 2048
"""Images that a compiled network predicts at once."""
NOISE = 24.0
"""Added for the comparison of precisions, in standard deviations of a cutout's pixels: of an AUC of 1 none
differs. By the distance of the classes' means no straight cut reaches more than 0.89 with it."""
TELLING = 0.65, 0.98
"""AUC within which precisions can differ."""


class Book:
    """Where results go: to the screen, and to a file of one JSON object a line."""

    def __init__(self, path: Path, section: str) -> None:
        self._path, self._section = path, section

    def add(
        self,
        name: str,
        value: object,
        unit: str = "",
        ok: bool | None = None,
        note: str = "",
        of: dict[str, Any] | None = None,
    ) -> None:
        """Note a result; `ok` says whether it is as it has to be, None where nothing is demanded.

        `of` says of what, for `gpu_goals`.
        """
        record = {
            "section": self._section,
            "name": name,
            "value": value,
            "unit": unit,
            "ok": ok,
            "note": note,
            "of": of,
        }
        with self._path.open("a") as stream:
            stream.write(json.dumps(record, default=str) + "\n")
        print(in_words(record), flush=True)

    @contextlib.contextmanager
    def guard(self, name: str) -> Iterator[None]:
        """Make a result of whatever is raised."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a check that fails is a result
            self.add(name, "FAILED", ok=False, note=f"{type(error).__name__}: {str(error)[:300]}")
            traceback.print_exc()


def in_words(record: dict[str, Any]) -> str:
    """A line of the table."""
    value = record["value"]
    if isinstance(value, float):
        value = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    mark = {True: "ok  ", False: "BAD ", None: "    "}[record["ok"]]
    note = f"   ({record['note']})" if record["note"] else ""
    return f"{mark}{record['section']:<13} {record['name']:<66} {value} {record['unit']}{note}"


# --- the parent process
def main() -> int:
    """Run the sections and sum up; give 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"some of {', '.join(SECTIONS)}")
    ways = "eager,whole,whole_compiled"  # the other two are tried only where the last of these fails
    parser.add_argument("--ways", default=ways, help="ways to take a step that are timed")
    parser.add_argument("--batches", default="128,512,2048", help="batches of training that are timed")
    parser.add_argument("--smoke", action="store_true", help="a handful of samples, on a CPU")
    parser.add_argument("--limit", type=float, default=ALL_S - 20, help="seconds for all of it")
    parser.add_argument("--out", type=Path, default=Path("gpu_results"), help="folder of results and log")
    parser.add_argument("--section", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.section:
        return _run_section(options)
    unknown = set(options.only.split(",")) - set(SECTIONS)
    if unknown:
        parser.error(f"--only: expected some of {', '.join(SECTIONS)}, found {', '.join(sorted(unknown))}")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.jsonl").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as work, (options.out / "log.txt").open("wb") as log:
        options.work = Path(work)
        _Parent(options, log).run()
    return _summary(options.out, smoke=options.smoke)


@dataclass
class _Section:
    """A process that waits for its turn, runs, and is ended at its time."""

    process: "subprocess.Popen[bytes]"
    cap_s: float
    started: float = 0.0


class _Parent:
    """Starts sections and ends those that take too long."""

    def __init__(self, options: argparse.Namespace, log: Any) -> None:
        self._options, self._log = options, log
        self._started = time.monotonic()
        self._end = self._started + (math.inf if options.smoke else options.limit)
        self._book = Book(options.out / "results.jsonl", "all")
        self._running: dict[str, _Section] = {}
        self._took: dict[str, float] = {}
        self._left_out: list[str] = []

    def run(self) -> None:
        wanted = [name for name in SECTIONS if name in self._options.only.split(",")]
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that sections are ended, too
        try:
            self._run(wanted)
        finally:
            for section in self._running.values():
                _end(section.process)
        self._book.add(
            "all of it",
            time.monotonic() - self._started,
            "s",
            note=", ".join(f"{name} {took:.0f}" for name, took in self._took.items()),
            of={"what": "took", "left_out": self._left_out, "whole": wanted == list(SECTIONS)},
        )

    def _run(self, wanted: list[str]) -> None:
        if "env" in wanted or not self._options.smoke:
            self._start("env")
            self._wait("env")
            if self._left_out:  # what is sized for a GPU says nothing of anything else
                for name in wanted:
                    if name != "env":
                        self._leave_out(name, "env did not pass")
                return
        together = [name for name in wanted if name in UNTIMED]
        timed = [name for name in wanted if name not in (*UNTIMED, "env")]
        if self._options.smoke:
            for name in (*together, *timed):
                self._start(name)
                self._wait(name)
            return
        together += [f"warm:{name}" for name in self._to_compile(wanted)]
        for name in together:
            self._start(name)
        for name in timed:
            self._make(name)  # they import meanwhile, and nothing does while one of them is timed
        self._wait(*together)
        for name in timed:
            self._start(name)
            self._wait(name)

    def _leave_out(self, name: str, why: str) -> None:
        self._book.add(f"section {name}", "SKIPPED", note=why)
        self._left_out.append(name)

    def _to_compile(self, wanted: list[str]) -> list[str]:
        """What is compiled beforehand: networks that learn, by ways, and those that predict."""
        ways = self._options.ways.split(",")
        compiled = [way for way in ("compiled", "graphs") if any(one.endswith(way) for one in ways)]
        kinds = [name.partition(":")[2] for name in wanted if name.startswith("ways:")]
        looking = [name.partition(":")[2] for name in wanted if name.startswith("predict:")]
        return [f"{kind}:{way}" for kind in kinds for way in compiled] + [f"{kind}:look" for kind in looking]

    def _make(self, name: str) -> None:
        """Make the process of a section: it imports, and waits to be told to begin."""
        command = [sys.executable, __file__, "--section", name, "--out", self._options.out]
        command += [
            "--work",
            self._options.work,
            "--ways",
            self._options.ways,
            "--batches",
            self._options.batches,
            *(["--smoke"] if self._options.smoke else []),
        ]
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(self._options.work / "inductor")}
        process = subprocess.Popen(
            list(map(str, command)),
            env=environment,
            stdin=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        cap_s = 1500 if self._options.smoke else SECTIONS.get(name, WARM_S)
        self._running[name] = _Section(process, cap_s)

    def _start(self, name: str) -> None:
        """Let a section begin."""
        if self._end - time.monotonic() < 15:
            self._leave_out(name, "no time left")
            if made := self._running.pop(name, None):
                _end(made.process)
            return
        if name not in self._running:
            self._make(name)
        section = self._running[name]
        section.started = time.monotonic()
        _stream_of(section.process.stdin).close()

    def _wait(self, *names: str) -> None:
        """Wait for sections that were started, each to its end or its time."""
        while left := [name for name in names if name in self._running]:
            for name in left:
                section, now = self._running[name], time.monotonic()
                over = now > min(section.started + section.cap_s, self._end - 5)
                if (code := section.process.poll()) is None and not over:
                    continue
                if code != 0:
                    value, note = ("TIMED OUT", "") if code is None else (f"exit {code}", "see log.txt")
                    self._book.add(f"section {name}", value, ok=False, note=note)
                    self._left_out.append(name)
                self._took[name] = now - section.started
                _end(section.process)
                del self._running[name]
            time.sleep(0.02)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a section, and what it started, which may have outlived it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _summary(out: Path, *, smoke: bool) -> int:
    path = out / "results.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    book = Book(path, "goals")
    for row in (
        *goals(records, SMOKE_BATCH if smoke else BATCH, demanded=not smoke),
        *shares_of_peak(records, PRECISION),
    ):
        book.add(**row)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    (out / "results.json").write_text(json.dumps(records, indent=1))
    order = list(SECTIONS)
    records.sort(key=lambda one: order.index(one["section"]) if one["section"] in order else -1)
    for title in ("right", "fast", "goals"):
        print(f"\n## {title}\n")
        print("\n".join(in_words(one) for one in records if _table_of(one) == title))
    n_bad = sum(one["ok"] is False for one in records)
    print(f"\n{len(records)} results, {n_bad} bad; {out / 'results.json'}, {out / 'log.txt'}")
    return int(n_bad > 0)


def _table_of(record: dict[str, Any]) -> str:
    if record["section"] == "goals":
        return "goals"
    return "fast" if record["ok"] is None else "right"


# --- what sections work with
def _run_section(options: argparse.Namespace) -> int:
    here = Here(options)
    from stronglens.training import trainer  # noqa: F401 - and with it nearly all that sections need

    name, _, kind = options.section.partition(":")
    if name != "worker":
        sys.stdin.read()  # until it is this section's turn
    with here.book.guard(f"section {options.section}"):
        {
            "env": env,
            "equal": equal,
            "resume": resume,
            "train": train,
            "auc": auc,
            "warm": warm,
            "ways": ways,
            "predict": predict,
            "stream": stream,
            "shared": shared,
            "worker": worker,
            "naive": naive,
        }[name](here, *filter(None, [kind]))
    return 0


class Here:
    """The device, and how to make what sections need."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        self.options, self.smoke, self.work = options, options.smoke, options.work
        self.ways = options.ways.split(",")
        self.gpu = torch.cuda.is_available() and not options.smoke
        self.device = torch.device("cuda" if self.gpu else "cpu")
        self.dtype, self.batch = torch.bfloat16, self.pick(SMOKE_BATCH, BATCH)
        self.book = Book(options.out / "results.jsonl", options.section)
        logging.basicConfig(level=logging.INFO)

    def pick(self, smoke: Any, real: Any) -> Any:
        return smoke if self.smoke else real

    def network(
        self, kind: str, chans: int = 0, device: Any = None, n_lens: int | None = None, **more: Any
    ) -> Any:
        """A network as the pipeline makes it; GRN, which begins at zero, is given something to do."""
        import torch

        from stronglens.networks.network import build_network
        from stronglens.settings.network import NetworkSettings

        torch.manual_seed(0)
        known = KINDS[kind]
        smaller = {"timm": known.smoke} if self.smoke else {}
        settings = NetworkSettings(**(known.network | more | smaller))
        n_outputs = 1 + (known.n_lens if n_lens is None else n_lens) + known.n_domains
        network = build_network(settings, chans or known.n_channels, SIDE_PX, n_outputs)
        for name, parameter in network.named_parameters():
            if "grn" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        return network.to(device or self.device).to(memory_format=torch.channels_last)

    def random_samples(self, n: int, chans: int = 1) -> Any:
        """Resident noise, every second a lens, kept in what the network computes in."""
        import torch

        from stronglens.networks.resident import ResidentSamples

        generator = torch.Generator(self.device).manual_seed(1)
        images = torch.empty(n * chans, SIDE_PX, SIDE_PX, dtype=self.dtype, device=self.device)
        for part in torch.split(images, 50_000):
            part.copy_(torch.randn(part.shape, generator=generator, device=self.device))
        rows = torch.arange(n * chans, device=self.device).view(n, chans)
        return ResidentSamples(images, rows, (rows[:, 0] % 2).float(), has_gaps=False)

    def random_lenses(self, n: int, n_parameters: int, *, uncertain: bool = False) -> Any:
        """Lens parameters of the first half of some samples; nothing is known of the others."""
        import torch

        from stronglens.training.lens_task import LensTargets

        if not n_parameters:
            return None
        values = torch.randn(n, n_parameters, generator=torch.Generator().manual_seed(1))
        values[n // 2 :] = math.nan
        return LensTargets(values.to(self.device), 1.0, uncertain)

    def domains(self, n: int, n_domains: int) -> Any:
        """Domains of some samples, in turn."""
        import torch

        from stronglens.training.domain_task import DomainTargets

        if not n_domains:
            return None
        return DomainTargets(torch.eye(n_domains, device=self.device).repeat(n // n_domains + 1, 1)[:n], 0.3)

    def packed(self, n_per_bucket: int, seed: int = 0) -> Any:
        """A packed set with rings, some objects without all bands, and all of its samples."""
        import numpy as np

        from packed_files import write_packed
        from stronglens.formats.packed import open_packed
        from stronglens.networks.samples import make_samples

        folder = self.work / f"packed_{self.options.section}_{n_per_bucket}_{seed}"
        if not folder.exists():
            write_packed(folder, n_per_bucket=n_per_bucket, size_px=SIDE_PX, seed=seed)
        packed = open_packed(folder, check=False)

        def samples(bands: Any = "each") -> Any:
            everything = np.ones(len(packed.index), dtype=bool)
            return make_samples(packed.index, bands, everything, packed.summary.bands)

        return packed, samples

    def sync(self) -> None:
        import torch

        if self.gpu:
            torch.cuda.synchronize()

    def rate(self, run: Callable[[], None], n: int, seconds: float = 1.0) -> float:
        """Units a second of something that does n at once, after a warm-up."""
        for _ in range(3):
            run()
        self.sync()
        started, n_times = time.perf_counter(), 0
        while time.perf_counter() - started < self.pick(0.0, seconds) or n_times == 0:
            run()
            self.sync()
            n_times += 1
        return n * n_times / (time.perf_counter() - started)


def gap(one: Any, other: Any) -> float:
    """Largest absolute difference of two tensors."""
    return float((one.double().cpu() - other.double().cpu()).abs().max())


def gap_of_dicts(one: Any, other: Any) -> float:
    """Largest absolute difference of two state dicts."""
    return max(gap(one[name], other[name]) for name in one)


# --- sections
def env(here: Here) -> None:
    """What is checked."""
    import timm
    import torch

    add = here.book.add
    add(
        "Python, torch, CUDA, cuDNN, timm",
        f"{sys.version.split()[0]}, {torch.__version__}, "
        f"{torch.version.cuda}, {torch.backends.cudnn.version()}, {timm.__version__}",
    )
    add("cores", len(os.sched_getaffinity(0)))
    if here.gpu:
        free, total = (n / 2**30 for n in torch.cuda.mem_get_info())
        note = f"{free:.0f} of {total:.0f} GiB free"
        add("card", torch.cuda.get_device_name(), note=note, of={"what": "card"})
    add("a GPU", str(here.gpu), ok=here.gpu or here.smoke)
    if not (here.gpu or here.smoke):
        raise SystemExit(1)


def equal(here: Here) -> None:
    """A CPU against a GPU, resident against streamed samples, each way against the eager one."""
    import torch

    from stronglens.formats.joined import join_sets
    from stronglens.networks.forward import logits_of
    from stronglens.networks.precision import algorithms
    from stronglens.networks.preprocess import context_of, preprocess_all
    from stronglens.networks.resident import load_resident
    from stronglens.networks.samples import join_samples
    from stronglens.networks.streamed import stream_samples
    from stronglens.settings.preprocess import PreprocessSettings
    from stronglens.settings.train import TrainSettings
    from stronglens.training.trainer import Trainer
    from stronglens.training.validation import roc_auc

    add, guard, device, cpu = here.book.add, here.book.guard, here.device, torch.device("cpu")
    packed, samples_of = here.packed(here.pick(8, 120))
    samples, plain = samples_of(), PreprocessSettings()
    variants: dict[str, dict[str, Any]] = {
        "cutout": {},
        "gaussian": {"smoothing": "gaussian"},
        "guided": {"smoothing": "guided"},
        "mad, clipped below": {"scale": "mad", "low_clip_quantile": 0.01},
        "object": {"normalisation": "object"},
        "asinh": {"normalisation": "asinh", "asinh_softening": 0.5},
    }
    numbers = torch.randperm(len(samples), generator=torch.Generator().manual_seed(1)).to(device)
    for name, given in variants.items():
        with guard(f"preprocessing {name}"):
            settings = PreprocessSettings(**given)
            known, rows = context_of(packed, settings), samples.rows[:, 0]
            ours, theirs = (preprocess_all(packed.cutouts, rows, settings, known, at) for at in (device, cpu))
            off = gap(ours, theirs)
            add(f"preprocessing {name}, against a CPU", off, "apart", ok=off < 1e-3)
            resident = load_resident(packed, samples, settings, device)
            streamed = stream_samples(packed, samples, settings, device)
            batches = torch.split(numbers, 37)
            off = max(
                gap(resident.take(b), s) for b, s in zip(batches, streamed.in_turn(batches), strict=True)
            )
            add(f"float32 images {name}, resident against streamed", off, "apart", ok=off == 0)
    own = TrainSettings(batch_size=here.pick(16, 64), epochs=1, deterministic=True, precision="bf16")
    with guard("resident and streamed"), algorithms(own):
        found = []
        loaded = [
            load_resident(packed, samples, plain, device, here.dtype),
            stream_samples(packed, samples, plain, device),
            load_resident(packed, samples, plain, device, here.dtype),
        ]
        for one in loaded:
            found.append(Trainer(here.network("atto"), one, loaded[0], own, 1).fit())
        for name, number in (("two runs", 2), ("resident against streamed", 1)):
            off = gap_of_dicts(found[0].last, found[number].last)
            add(
                f"an epoch, {name}, deterministic: weights",
                off,
                "apart",
                ok=off == 0,
                note="losses " + ", ".join(f"{found[i].records[0].train_loss:.7f}" for i in (0, number)),
            )
    for kind, what in KINDS.items():
        with guard(f"probabilities {kind}"):
            shown = samples_of("each" if what.n_channels == 1 else list("grizy"))
            resident, on_cpu = (load_resident(packed, shown, plain, at) for at in (device, cpu))
            network, twin = here.network(kind), here.network(kind, device=cpu)
            expected = torch.sigmoid(logits_of(twin, on_cpu, None, 256))
            for dtype, most in ((None, 1e-4), (torch.bfloat16, 5e-2), (torch.float16, 1e-2)):
                with algorithms(TrainSettings(precision="float32")):
                    off = gap(torch.sigmoid(logits_of(network, resident, dtype, 256)), expected)
                add(
                    f"probabilities, {kind}, {dtype or 'float32'}, against a CPU", off, "apart", ok=off < most
                )
    with guard("joined sets"):
        more_packed, more_of = here.packed(here.pick(8, 60), seed=1)
        both, more = [samples, more_of()], [packed, more_packed]
        joined = load_resident(
            join_sets(more), join_samples(both, [len(one.index) for one in more]), plain, device
        )
        apart = [load_resident(*one, plain, device) for one in zip(more, both, strict=True)]
        numbers = [torch.arange(len(one), device=device) for one in (joined, *apart)]
        off = gap(
            joined.take(numbers[0]),
            torch.cat([one.take(n) for one, n in zip(apart, numbers[1:], strict=True)]),
        )
        add("two sets joined, against each by itself", off, "apart", ok=off == 0)
    with guard("AUC"):
        scores = torch.randn(5000, device=device).round(decimals=2)
        labels = (torch.rand(5000, device=device) > 0.5).float()
        off = abs(roc_auc(scores, labels).item() - roc_auc(scores.cpu(), labels.cpu()).item())
        add("AUC with ties, against a CPU", off, "apart", ok=off == 0)
    # All that a step can do, as it is and recorded.
    options: dict[str, dict[str, Any]] = {
        "plain": {},
        "fp16": {"precision": "fp16"},
        "mixed, averaged, weighted, clipped, all of augmentation": {
            "mixup_alpha": 0.2,
            "cutmix_alpha": 1.0,
            "ema_decay": 0.9,
            "clip_grad_norm": 1.0,
            "label_smoothing": 0.05,
            "augment_noise": 0.05,
            "augment_gamma": 0.2,
            "band_dropout": 0.2,
            "warmup_epochs": 0.5,
        },
    }
    few = load_resident(packed, samples_of(list("grizy")).part(0, here.pick(40, 300)), plain, device)
    weights = torch.rand(len(few), device=device) + 0.5
    with_tasks = {
        "Muon, lens parameters with uncertainties, domains, crops": {"optimiser": "muon", "crop_px": 29}
    }
    for name, more in (options | with_tasks).items():
        with guard(f"whole steps, {name}"):
            own = TrainSettings(**({"batch_size": here.pick(8, 32), "epochs": 2, "precision": "bf16"} | more))
            kind, n_lens = ("recipe", 2) if name in with_tasks else ("atto", 0)
            lens = here.random_lenses(len(few), n_lens, uncertain=True)
            domains = here.domains(len(few), KINDS[kind].n_domains)
            found = [
                Trainer(
                    here.network(kind, chans=5, n_lens=2 * n_lens),
                    *(few, few, own, 1, way, weights, lens),
                    domains=domains,
                ).fit()
                for way in ("never", "never", "whole")
            ]
            losses_of_lenses = max(
                (abs(a - b) for a, b in zip(found[0].lens_losses, found[2].lens_losses, strict=True)),
                default=0.0,
            )
            itself, off = (gap_of_dicts(found[0].last, other.last) for other in found[1:])
            losses = max(
                abs(a.train_loss - b.train_loss)
                for a, b in zip(found[0].records, found[2].records, strict=True)
            )
            # The same bits, where single steps give the same twice.
            most = 0 if itself == 0 else 1e-3
            fine = found[2].way == "whole" and max(losses, losses_of_lenses) <= most
            fine = fine and (itself > 0 or off == 0)
            add(
                f"whole steps against single ones, {name}: losses",
                losses,
                "apart",
                ok=fine,
                note=f"weights {off:.1e}; lens parameters {losses_of_lenses:.1e}; "
                f"single ones against themselves {itself:.1e}",
            )


def resume(here: Here) -> None:
    """Cut within an epoch, kept, read, gone on with: the same as never cut; in each precision and way."""
    import torch

    from stronglens.networks.precision import algorithms
    from stronglens.networks.resident import load_resident
    from stronglens.settings.preprocess import PreprocessSettings
    from stronglens.settings.train import TrainSettings
    from stronglens.training.trainer import Trainer

    class CutError(Exception):
        pass

    class Kept:
        """Cuts the second epoch at its fifth step."""

        def offer(self, state: Callable[[], dict[str, Any]]) -> None:
            if len(state()["records"]) == 1 and state()["step"] == 5:
                content = io.BytesIO()
                torch.save(copy.deepcopy(state()), content)
                content.seek(0)
                self.state = torch.load(content, map_location="cpu", weights_only=True)
                raise CutError

        def keep(self, state: dict[str, Any]) -> None:
            pass

    packed, samples_of = here.packed(here.pick(8, 40))
    loaded = load_resident(packed, samples_of(), PreprocessSettings(), here.device)
    cases = [(precision, "never", "adamw") for precision in ("bf16", "float32", "tf32", "fp16")]
    cases += [(precision, "whole", "adamw") for precision in ("bf16", "fp16")]
    cases += [("bf16", "never", "muon"), ("bf16", "whole", "muon"), ("fp16", "never", "muon")]
    for precision, way, optimiser in cases:
        with here.book.guard(f"cut and gone on, {precision}, {way}, {optimiser}"):
            deterministic = way == "never"
            own = TrainSettings(
                batch_size=here.pick(16, 64),
                epochs=3,
                precision=precision,
                optimiser=optimiser,
                ema_decay=0.9,
                clip_grad_norm=1.0,
                mixup_alpha=0.2,
                deterministic=deterministic,
            )

            def trainer(own: Any = own, way: str = way) -> Any:
                return Trainer(here.network("atto", drop_path=0.2), loaded, loaded, own, 1, way)

            with algorithms(own):
                whole, again, kept = trainer().fit(), trainer().fit(), Kept()
                with contextlib.suppress(CutError):
                    trainer().fit(kept)
                other = trainer()
                other.load_state_dict(kept.state)
                cut = other.fit()
            off, itself = gap_of_dicts(whole.last, cut.last), gap_of_dicts(whole.last, again.last)
            losses = max(
                abs(a.train_loss - b.train_loss) for a, b in zip(whole.records, cut.records, strict=True)
            )
            fine = off == 0 if deterministic or itself == 0 else losses < 1e-3
            here.book.add(
                f"cut and gone on, {precision}, {way}, {optimiser}: weights",
                off,
                "apart",
                ok=fine,
                note=f"two runs {itself:.1e}; losses {losses:.1e}",
            )


def train(here: Here) -> None:
    """`train.py` as a job runs it: measuring, two seeds that agree, SIGTERM, going on."""
    from packed_files import write_splits
    from stronglens.formats.artefact import read_json

    packed, _ = here.packed(here.pick(12, 1500))
    splits = write_splits(here.work / "splits_train", packed.folder)
    little = {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]} if here.smoke else {}

    def start(name: str, seed: int, epochs: int, **more: Any) -> Any:
        settings = {
            "network": {"name": "convnextv2_atto", "drop_path": 0.1, "timm": little},
            "train": {"epochs": epochs, "batch_size": here.pick(16, 128), "patience": None, **more},
        }
        command = [
            sys.executable,
            harness.SCRIPTS / "train.py",
            "--packed",
            packed.folder,
            "--splits",
            splits,
        ]
        command += ["--out-dir", here.work / name, "--seed", seed, "--settings", json.dumps(settings)]
        command += ["--device", here.device.type, "--choices", here.work / "choices"]
        log = (here.work / f"{name}.log").open("wb")
        return subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)

    def lines(name: str, word: str) -> str:
        text = (here.work / f"{name}.log").read_text(errors="replace")
        return " | ".join(line for line in text.splitlines() if word in line)[-600:]

    add, epochs = here.book.add, here.pick(3, 20)
    first = start("first", 1, epochs)
    first.wait(140)
    add("train.py: exit code", first.returncode, ok=first.returncode == 0, note=lines("first", "ERROR"))
    way = read_json(here.work / "first/best.json")["way"]
    add("train.py: the way it took", way, note=lines("first", "taken"))
    add("train.py: its last epoch", lines("first", f"epoch {epochs}/"))
    second = start("second", 2, epochs)
    while second.poll() is None and f"epoch 1/{epochs}" not in lines("second", "epoch"):
        time.sleep(0.1)
    second.terminate()
    second.wait(60)
    add(
        "train.py: exit code after SIGTERM",
        second.returncode,
        ok=second.returncode == 143,
        note=lines("second", "SIGTERM"),
    )
    again = start("second", 2, epochs)
    again.wait(100)
    agreed = read_json(here.work / "second/best.json")["way"]
    gone_on = lines("second", "going on after epoch")
    add(
        "train.py: gone on, the same way",
        agreed,
        ok=again.returncode == 0 and agreed == way and bool(gone_on),
        note=gone_on,
    )


def auc(here: Here) -> None:
    """What each precision reaches."""
    from stronglens.networks.precision import algorithms
    from stronglens.networks.resident import load_resident
    from stronglens.settings.preprocess import PreprocessSettings
    from stronglens.settings.train import TrainSettings
    from stronglens.training.trainer import Trainer

    found = {}
    loaded = [
        load_resident(packed, samples(), PreprocessSettings(), here.device)
        for packed, samples in (here.packed(here.pick(8, n), seed) for n, seed in ((400, 1), (200, 2)))
    ]
    for image in loaded:
        image.images.add_(image.images.new_empty(image.images.shape).normal_().mul_(here.pick(0.0, NOISE)))
    for precision in ("float32", "tf32", "bf16", "fp16"):
        own = TrainSettings(batch_size=here.pick(16, 128), epochs=here.pick(1, 5), precision=precision)
        with algorithms(own):
            found[precision] = Trainer(here.network("atto"), *loaded, own, 1).fit().records[-1].val_auc
        off = found[precision] - found["float32"]
        low, high = here.pick((0.0, 1.0), TELLING)
        fine = abs(off) < here.pick(1.0, 0.02) and low <= found["float32"] <= high
        here.book.add(f"AUC, {precision}", found[precision], ok=fine)


def _trainer(here: Here, kind: str, batch: int, n: int, **more: Any) -> Any:
    from stronglens.settings.train import TrainSettings
    from stronglens.training.trainer import Trainer

    known = KINDS[kind]
    own = TrainSettings(**({"batch_size": batch, "epochs": 80, "precision": PRECISION} | known.train | more))
    samples = here.random_samples(n, known.n_channels)
    return Trainer(
        here.network(kind),
        samples,
        samples,
        own,
        1,
        "auto",
        None,
        here.random_lenses(n, known.n_lens),
        here.work / "choices",
        {"network": kind},
        domains=here.domains(n, known.n_domains),
    )


def warm(here: Here, kind_and_way: str) -> None:
    """Compile what is timed later, so that the cache on the disk has it."""
    kind, way = kind_and_way.split(":")
    started = time.monotonic()
    if way == "look":
        _looking(here, kind)
    else:
        _trainer(here, kind, BATCH, BATCH * 64).measure(way)
    here.book.add(f"{kind}, {way}, beside others", time.monotonic() - started, "s to compile and try")


def ways(here: Here, kind: str) -> None:
    """Each way to take a step, against the eager one and against the steps of one batch in memory."""
    import torch

    from stronglens.networks.compiled import n_operations
    from stronglens.networks.ways import FURTHEST
    from stronglens.settings.train import TrainSettings
    from stronglens.training import trainer as module
    from stronglens.training.precision_choice import with_chosen_precision

    add, n_timed = here.book.add, module.N_TIMED
    n_samples, n_epochs = MEMBERS[kind]
    if here.smoke:
        module.WAYS = module.WAYS[:2]  # compiling takes minutes
    module.WAYS = tuple(one for one in module.WAYS if one.name in here.ways)
    names = [one.name for one in module.WAYS]
    add(
        f"{kind}: operations to learn from an image",
        3 * n_operations(here.network(kind, device="cpu"), (KINDS[kind].n_channels, SIDE_PX, SIDE_PX)),
        "FLOP",
        note="of convolutions and products, backward twice forward",
        of={"what": "work", "kind": kind},
    )
    for batch in here.pick([SMOKE_BATCH], list(map(int, here.options.batches.split(",")))):
        reference: list[float] = []
        chosen = names if batch == here.batch else ["eager", "whole"]
        for way in chosen:
            with here.book.guard(f"{kind}, batch {batch}, {way}"):
                slow = way in ("eager", "compiled") or batch != BATCH
                module.N_TIMED = here.pick(2, 40 if slow else 300)
                one = _trainer(here, kind, batch, batch * here.pick(3, 300 if batch == BATCH else 40))
                found, steps = one.measure(way)
                del one, steps
                reference = reference or list(found.losses)
                n_steps = n_samples * n_epochs / batch
                off = max(abs(a - b) for a, b in zip(found.losses, reference, strict=True))
                agrees = off < FURTHEST
                add(
                    f"{kind}, batch {batch}, {way}: losses of {len(reference)} steps",
                    off,
                    "apart",
                    ok=agrees,
                )
                add(
                    f"{kind}, batch {batch}, {way}",
                    batch / found.step_s,
                    "images/s",
                    note=f"{found.step_s * 1e3:.2f} ms a step, set up in {found.setup_s:.1f} s, "
                    f"a member of {n_samples:,} x {n_epochs} in {n_steps * found.step_s / 60:.3g} min",
                    of={"what": "way", "kind": kind, "batch": batch, "way": way, "agrees": agrees}
                    | {"setup_s": found.setup_s, "step_s": found.step_s},
                )
            module.N_TIMED = n_timed
            if here.gpu:
                torch.cuda.empty_cache()
    with here.book.guard(f"{kind}, one batch in memory"):
        add(
            f"{kind}, batch {here.batch}, limit: steps on one batch, as fast as these ways go",
            _limit(here, kind, here.batch),
            "images/s",
            of={"what": "limit", "kind": kind, "batch": here.batch},
        )
    with here.book.guard(f"{kind}, precision"):
        started, known, folder = time.monotonic(), KINDS[kind], here.work / f"precision_{kind}"
        found = with_chosen_precision(
            TrainSettings(batch_size=here.batch, epochs=n_epochs, **known.train),
            lambda: here.network(kind, device="cpu"),
            (known.n_channels, SIDE_PX, SIDE_PX),
            n_samples,
            here.device,
            folder,
            {"network": kind},
        )
        measured = [json.loads(path.read_text())["measured"] for path in folder.glob("*.json")]
        rates = {
            name: f"{name} {here.batch / one['step_s']:,.0f} images/s"
            for all_ in measured
            for name, one in all_.items()
        }
        add(
            f"{kind}, batch {here.batch}, precision that `auto` takes",
            found.precision,
            note=", ".join([*rates.values(), f"{time.monotonic() - started:.0f} s"]),
            ok=not here.gpu or len(rates) == 4,
        )
    with here.book.guard(f"{kind}, auto"):
        batch = here.batch
        one = _trainer(here, kind, batch, batch * here.pick(3, 800))
        started = time.monotonic()
        way, steps = one._measured()
        add(
            f"{kind}, batch {batch}, chosen by measuring",
            way,
            note=f"{time.monotonic() - started:.0f} s; {kind} compiled from a cache",
            of={"what": "chosen", "kind": kind, "batch": batch},
        )
        del steps
        own = one.settings.model_copy(update={"epochs": 2})
        # As many beside those that are learnt from as in the real run: 15 % beside 70.
        few = here.random_samples(len(one._train) * 3 // 14, KINDS[kind].n_channels)
        learner = one._learner
        whole = module.Trainer(
            *(here.network(kind), one._train, few, own, 1, way, None, learner.lens), domains=learner.domains
        )
        seconds: list[float] = []
        whole.fit(observe=lambda state: seconds.extend(state["seconds"][len(seconds) :]))
        add(
            f"{kind}, batch {batch}, an epoch of `fit` with validation",
            batch * one._plan.n_steps / seconds[-1],
            "images/s",
        )


def _limit(here: Here, kind: str, batch: int) -> float:
    """Images a second of forward, backward and optimiser alone, on one batch."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    from stronglens.networks.compiled import compiled
    from stronglens.networks.precision import autocast
    from stronglens.settings.train import TrainSettings
    from stronglens.training.trainer import _optimiser

    network = here.network(kind).train()
    images = torch.randn(batch, KINDS[kind].n_channels, SIDE_PX, SIDE_PX, device=here.device)
    labels = (torch.arange(batch, device=here.device) % 2).float()
    forward: Any = network
    how = "compiled" if here.gpu and "whole_compiled" in here.ways else "eager"
    if how == "compiled":
        forward = compiled(network, tuple(images.shape), here.device, here.dtype, learn=True)
    optimiser = _optimiser(network, TrainSettings(**KINDS[kind].train))
    for group in optimiser.param_groups:
        group["capturable"] = here.gpu

    def step() -> None:
        with autocast(here.device, here.dtype):
            logit = forward(images).float()[:, 0]
        optimiser.zero_grad(set_to_none=True)
        binary_cross_entropy_with_logits(logit, labels).backward()
        optimiser.step()

    if not here.gpu:
        return here.rate(step, batch)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        step()

    def replay() -> None:
        for _ in range(50):
            graph.replay()

    return here.rate(replay, 50 * batch)


def _looking(here: Here, kind: str, network: Any = None) -> Any:
    """A network compiled for predictions."""
    from stronglens.networks.compiled import compiled

    shape = (LOOKED_AT, KINDS[kind].n_channels, SIDE_PX, SIDE_PX)
    network = here.network(kind) if network is None else network
    forward = compiled(network, shape, here.device, here.dtype, learn=False)
    if forward is network:
        raise RuntimeError("it cannot be compiled here: see log.txt")
    return forward


def predict(here: Here, kind: str) -> None:
    """Networks that only look, by batch: from images on the device."""
    import torch

    from stronglens.networks.forward import logits_of

    chans = KINDS[kind].n_channels
    samples, network = here.random_samples(here.pick(64, 65_536), chans), here.network(kind)
    for batch in here.pick((8,), (512, 2048, 8192)):
        # Each is compiled for some 20 s: one of them is enough.
        for how in ("eager", "compiled") if here.gpu and batch == LOOKED_AT else ("eager",):
            with here.book.guard(f"{kind}, batches of {batch}, {how}"):
                forward = _looking(here, kind, network) if how == "compiled" else network

                def look(forward: Any = forward, batch: int = batch) -> None:
                    logits_of(network, samples, here.dtype, batch, fill=True, forward=forward)

                rate = here.rate(look, len(samples))
                here.book.add(f"prediction, {kind}, batches of {batch}, {how}", rate, "images/s")
    torch.cuda.empty_cache()


def stream(here: Here) -> None:
    """Samples that are read from the packed array as they are wanted, against resident ones."""
    import torch

    from stronglens.networks.resident import load_resident
    from stronglens.networks.streamed import stream_samples
    from stronglens.settings.preprocess import PreprocessSettings
    from stronglens.settings.train import TrainSettings
    from stronglens.training import trainer as module
    from stronglens.training.trainer import Trainer

    module.N_TIMED = here.pick(2, module.N_TIMED)
    packed, samples_of = here.packed(here.pick(8, 1000))
    settings, samples = PreprocessSettings(smoothing="gaussian"), samples_of()
    order = torch.randperm(len(samples), device=here.device)
    # What is made on first use is not timed.
    load_resident(packed, samples, settings, here.device, here.dtype)
    here.sync()
    started = time.perf_counter()
    resident = load_resident(packed, samples, settings, here.device, here.dtype)
    here.sync()
    rate = len(samples) / (time.perf_counter() - started)
    here.book.add("preprocessing, all at once", rate, "cutouts/s")
    for name, loaded in (
        ("resident", resident),
        ("streamed", stream_samples(packed, samples, settings, here.device)),
    ):
        for batch in (128, 2048):

            def through(loaded: Any = loaded, batch: int = batch) -> None:
                for _ in loaded.in_turn(torch.split(order, batch)):
                    pass

            rate = here.rate(through, len(samples))
            here.book.add(f"images of an epoch, {name}, batches of {batch}", rate, "images/s")
            with here.book.guard(f"steps on {name} images, batch {batch}"):
                own = TrainSettings(batch_size=min(batch, len(samples)), epochs=80, precision=PRECISION)
                network = here.network("atto")
                found, _ = Trainer(network, loaded, resident, own, 1).measure("whole")
                rate = own.batch_size / found.step_s
                here.book.add(f"atto, whole steps on {name} images, batch {batch}", rate, "images/s")


def shared(here: Here) -> None:
    """Several trainings at once on the card."""
    counts = here.pick((1, 2), (1, 2, 4))
    command = [sys.executable, __file__, "--out", here.options.out, "--work", here.work]
    command += ["--section", "worker", *(["--smoke"] if here.smoke else [])]
    workers = [
        subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        for _ in range(max(counts))
    ]
    try:
        for one in workers:
            if _stream_of(one.stdout).readline() != "ready\n":
                raise RuntimeError("a training did not begin: see the results of section worker, and log.txt")
        for count in counts:
            for one in workers[:count]:
                print("go", file=_stream_of(one.stdin))
            told = [_stream_of(one.stdout).readline() for one in workers[:count]]
            rates = [float(line) for line in told if line]
            here.book.add(
                f"atto, batch 128, whole steps, {count} at once, together",
                sum(rates),
                "images/s",
                ok=None if len(rates) == count else False,
            )
    finally:
        for one in workers:
            one.kill()
            one.wait()


def _stream_of(pipe: IO[Any] | None) -> IO[Any]:
    if pipe is None:
        raise ValueError("no pipe")
    return pipe


def worker(here: Here) -> None:
    """One of several trainings: it measures whenever it is told to."""
    from stronglens.training import trainer as module

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what results are printed with is no answer
    one = _trainer(here, "atto", here.batch, here.pick(24, 128 * 500))
    one.measure("whole")
    print("ready", file=answers)
    module.N_TIMED = here.pick(2, 1000)
    for _ in sys.stdin:
        found, _ = one.measure("whole")
        print(here.batch / found.step_s, file=answers)


def naive(here: Here) -> None:
    """A data loader that opens a FITS file for each image, in as many processes as the original's, eager."""
    import torch
    from item_by_item import FitsFiles
    from made_data import write_fits
    from torch.nn.functional import binary_cross_entropy_with_logits
    from torch.utils.data import DataLoader

    from stronglens.networks.precision import autocast

    files = write_fits(here.work / "files", here.pick(4, 200), here.pick(1, 5))
    network = here.network("atto")
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    n_workers = here.pick(0, 8)
    loader = DataLoader(
        FitsFiles(files), 128, shuffle=True, num_workers=n_workers, persistent_workers=n_workers > 0
    )

    def epoch() -> None:
        for images, labels in loader:
            with autocast(here.device, here.dtype):
                logit = network(images.to(here.device)).float()[:, 0]
            optimiser.zero_grad()
            binary_cross_entropy_with_logits(logit, labels.to(here.device)).backward()
            optimiser.step()

    epoch()
    started = time.perf_counter()
    epoch()
    here.sync()
    rate = len(files) / (time.perf_counter() - started)
    of = {"what": "naive", "kind": "atto"}
    here.book.add("atto, data loader on FITS files, eager", rate, "images/s", of=of)


if __name__ == "__main__":
    sys.exit(main())
