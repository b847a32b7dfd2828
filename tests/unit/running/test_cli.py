"""Command lines: what a step is given, what it leaves, and what the user is told."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pydantic import Field

from stronglens.running.cli import Command, run
from stronglens.running.errors import InputError
from stronglens.settings.base import Settings
from stronglens.settings.member import MemberSettings

SCRIPTS = sorted((Path(__file__).parents[3] / "workflow" / "scripts").glob("*.py"))


class Step(Command):
    """Do what the test wants."""

    out_dir: Path
    """Folder for the results."""
    seed: int = 42
    """Seed of everything."""
    packed: list[Path] = Field([])
    """Folders of the parts."""
    cap: int | None = 5
    """Most samples."""
    fast: bool = False
    """Be quick."""
    settings: MemberSettings = MemberSettings()
    """The member's settings."""


def parse(*argv: str) -> Step:
    """What the step is given."""
    given: list[Step] = []
    assert run(Step, given.append, ["--out-dir", "out", *argv]) == 0
    return given[0]


def test_defaults() -> None:
    assert parse().model_dump() == Step(out_dir=Path("out")).model_dump()


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--out-dir", "with space/ü"], "out_dir", Path("with space/ü")),
        (["--seed", "7"], "seed", 7),
        (["--seed=7"], "seed", 7),
        (["--seed", "1", "--seed", "2"], "seed", 2),
        (["--cap", "null"], "cap", None),
        (["--fast"], "fast", True),
        (["--no-fast"], "fast", False),
        (["--packed", "a", "--packed", "b c"], "packed", [Path("a"), Path("b c")]),
        (["--packed", "/x/[1]"], "packed", [Path("/x/[1]")]),
        (["--log", "null"], "log", None),
    ],
)
def test_options(argv: list[str], name: str, value: Any) -> None:
    assert getattr(parse(*argv), name) == value


@pytest.mark.parametrize(
    ("argv", "changed"),
    [
        (["--settings", '{"train": {"lr": 0.001}}'], {"train": {"lr": 0.001}}),
        (["--settings.train.lr", "1e-3"], {"train": {"lr": 0.001}}),
        (["--settings.train.batch-size", "8"], {"train": {"batch_size": 8}}),
        (["--settings.train.patience", "null"], {"train": {"patience": None}}),
        (["--no-settings.train.augment"], {"train": {"augment": False}}),
        (["--settings.network.name", "convnextv2_nano"], {"network": {"name": "convnextv2_nano"}}),
        (["--settings", '{"network": "convnextv2_nano"}'], {"network": {"name": "convnextv2_nano"}}),
        (["--settings.network.timm", '{"patch_size": 2}'], {"network": {"timm": {"patch_size": 2}}}),
        (["--settings.bands", "g,r"], {"bands": ["g", "r"]}),
        (["--settings.bands", '["g", "r"]'], {"bands": ["g", "r"]}),
        (["--settings.bands", "each"], {}),
        (
            ["--settings.preprocess.psf-input-fwhm-px", "slsim=4.0,hsc=3.6"],
            {"preprocess": {"psf_input_fwhm_px": {"slsim": 4.0, "hsc": 3.6}}},
        ),
        (
            ["--settings", '{"train": {"lr": 0.001, "epochs": 5}}', "--settings.train.epochs", "3"],
            {"train": {"lr": 0.001, "epochs": 3}},
        ),
    ],
)
def test_settings_as_a_whole_or_one_by_one(argv: list[str], changed: dict[str, Any]) -> None:
    assert parse(*argv).settings == MemberSettings.model_validate(changed)


def test_settings_as_the_workflow_gives_them() -> None:
    settings = MemberSettings.model_validate({"train": {"patience": None}, "bands": ["g"]})
    assert parse("--settings", json.dumps(settings.model_dump(mode="json"))).settings == settings


def test_the_environment_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SEED=9\nOUT_DIR=else\n")
    monkeypatch.chdir(tmp_path)
    for name in ("SEED", "seed", "CAP", "LOG", "OUT_DIR", "SETTINGS"):
        monkeypatch.setenv(name, "9")
    assert parse().model_dump() == Step(out_dir=Path("out")).model_dump()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "command line: the following arguments are required: --out-dir; --help lists all options"),
        (["--out-dir", "o", "--sed", "3"], "command line: unrecognized arguments: --sed 3; --help lists"),
        (["--out-dir", "o", "--see", "3"], "command line: unrecognized arguments: --see 3; --help lists"),
        (["--out-dir", "o", "stray"], "command line: unrecognized arguments: stray; --help lists"),
        (["--out-dir", "o", "--seed", "x"], 'command line: --seed: found "x", expected a whole number'),
        (
            ["--out-dir", "o", "--settings.train.batch-size", "0"],
            'command line: --settings.train.batch-size: found "0", expected greater than or equal to 1; '
            "for example batch_size: 128",
        ),
        (
            ["--out-dir", "o", "--settings", '{"train": {"lrr": 1}}'],
            "command line: --settings.train.lrr: unknown key; did you mean lr?",
        ),
        (["--out-dir", "o", "--settings", '{"train": '], "command line: error parsing value for field"),
        (["--out-dir", "o", "--settings", "3"], "command line: --settings: found 3, expected a block"),
    ],
)
def test_a_wrong_command_line(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    given: list[Step] = []
    assert run(Step, given.append, argv) == 2
    assert given == []
    output = capsys.readouterr()
    assert output.err.startswith(message)
    assert output.err.count("\n") == 1
    assert output.out == ""


def test_all_wrong_options_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Step, print, ["--out-dir", "o", "--seed", "x", "--settings.train.lr", "y"]) == 2
    assert capsys.readouterr().err.count("command line: --") == 2


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(Step, print, ["--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Do what the test wants." in text
    assert "--out-dir Path Folder for the results. (required)" in text
    assert "--seed int Seed of everything. (default: 42)" in text

    def walk(block: type[Settings], prefix: str) -> None:
        for name, field in block.model_fields.items():
            kinds = get_args(field.annotation) or (field.annotation,)  # a block, or one that may be left out
            blocks = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)]
            for inner in blocks:
                walk(inner, f"{prefix}{name.replace('_', '-')}.")
            if not blocks:
                assert f"--{prefix}{name.replace('_', '-')} " in text.replace(",", " ")
                assert " ".join(str(field.description).split()[:3]) in text

    walk(MemberSettings, "settings.")


def failing(error: BaseException) -> Callable[[Step], None]:
    def step(_: Step) -> None:
        logging.getLogger("stronglens").info("begun")
        raise error

    return step


def test_an_error_of_the_input_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "logs" / "step.log"
    argv = ["--out-dir", str(tmp_path / "out"), "--log", str(log)]
    assert run(Step, failing(InputError("a.fits: expected 41 x 41 pixels, found 40 x 41")), argv) == 1
    assert capsys.readouterr().err == "begun\na.fits: expected 41 x 41 pixels, found 40 x 41\n"
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(
        rf"{time} INFO begun\n{time} ERROR a\.fits: expected 41 x 41 pixels, found 40 x 41\n", log.read_text()
    )
    assert not (tmp_path / "out").exists()


def test_a_fault_of_the_program_leaves_its_traceback_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "step.log"
    assert run(Step, failing(ZeroDivisionError("by zero")), ["--out-dir", "o", "--log", str(log)]) == 1
    text = log.read_text()
    assert "ERROR Step failed" in text
    assert "Traceback" in text
    assert "ZeroDivisionError: by zero" in text


def test_a_gpu_that_fails_is_said_to_be_lost_to_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    error = RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with …")
    assert run(Step, failing(error), ["--out-dir", "o"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "the GPU works no more in this process; the same command goes on from what is saved"


def test_a_gpu_without_room_is_said_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 9.50 GiB of which 1.00 GiB is free"
    more = ". Including non-PyTorch memory, this process has 8.00 GiB in use. If reserved …"
    assert run(Step, failing(torch.OutOfMemoryError(text + more)), ["--out-dir", "o"]) == 1
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"not enough memory on the GPU: {text}; take smaller batches, or let fewer jobs share it"
    ]


def test_an_interrupt_is_passed_on() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Step, failing(KeyboardInterrupt()), ["--out-dir", "o"])
    assert logging.getLogger("stronglens").handlers == []


def test_a_log_is_continued(tmp_path: Path) -> None:
    log = tmp_path / "step.log"
    argv = ["--out-dir", "o", "--log", str(log)]
    assert run(Step, failing(InputError("first try")), argv) == 1
    assert run(Step, lambda _: logging.getLogger("stronglens.part").info("second try"), argv) == 0
    assert [line.split(" ", 2)[2] for line in log.read_text().splitlines()] == [
        "begun",
        "first try",
        "second try",
    ]


def test_a_log_that_cannot_be_written_stops_the_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    log = tmp_path / "file" / "step.log"
    given: list[Step] = []
    assert run(Step, given.append, ["--out-dir", "o", "--log", str(log)]) == 1
    assert given == []
    assert capsys.readouterr().err.startswith(f"{log}: expected a log file that can be written, found: ")


def test_arguments_come_from_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Step] = []
    monkeypatch.setattr("sys.argv", ["step.py", "--out-dir", "from-argv"])
    assert run(Step, given.append) == 0
    assert given[0].out_dir == Path("from-argv")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_help_on_a_terminal_that_knows_latin_1_alone(script: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, str(script), "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode("latin-1").startswith("usage: ")
