"""What others give is data: nothing in it is run, and nothing is written where it says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import build_buckets
import predict
import train
from fits_files import primary_bytes, write_labelled, write_test_set
from packed_files import write_packed, write_splits
from stronglens.configuring.config import check_config
from stronglens.formats.artefact import sha256_of, write_json
from stronglens.running.errors import InputError
from stronglens.training.resume import STATE, load_state

PROJECT = Path(__file__).parents[2]
SMALL = {"network": {"timm": {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 8]}}, "train": {"epochs": 1}}


class Trap:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_the_trap_works(tmp_path: Path) -> None:
    torch.save(Trap(tmp_path / "mark"), tmp_path / "x.pt")
    torch.load(tmp_path / "x.pt", weights_only=False)
    assert (tmp_path / "mark").exists()


def test_a_planted_member_is_refused_though_its_hash_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark, member = tmp_path / "mark", tmp_path / "member"
    packed = write_packed(tmp_path / "packed", n_per_bucket=4)
    splits = write_splits(tmp_path / "splits", packed)
    options = ["--packed", str(packed), "--device", "cpu", "--threads", "1"]
    made = ["--splits", str(splits), "--out-dir", str(member), "--settings", json.dumps(SMALL)]
    assert train.main([*options, *made]) == 0
    torch.save({"head.fc.weight": torch.ones(1), "more": Trap(mark)}, member / "best.pt")
    description = json.loads((member / "best.json").read_text())
    write_json(member / "best.json", description | {"weights_sha256": sha256_of(member / "best.pt")})
    capsys.readouterr()
    wanted = ["--member", str(member), "--which", "test", "--out-dir", str(tmp_path / "out")]
    assert predict.main([*options, *wanted]) == 1
    said = capsys.readouterr().err
    assert f"{member / 'best.pt'}: refused" in said
    assert "Traceback" not in said
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


def test_a_planted_state_of_training_is_set_aside(tmp_path: Path) -> None:
    mark, folder = tmp_path / "mark", tmp_path / "resume"
    folder.mkdir()
    torch.save({"identity": "{}", "state": Trap(mark)}, folder / STATE)
    assert load_state(folder, {}) is None
    assert not mark.exists()
    assert (tmp_path / "resume.stale" / STATE).is_file()


def test_planted_cutouts_are_refused_though_their_hash_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "mark"
    packed = write_packed(tmp_path / "packed", n_per_bucket=4)
    splits = write_splits(tmp_path / "splits", packed)
    np.save(packed / "cutouts.npy", np.array([Trap(mark)], dtype=object), allow_pickle=True)
    summary = json.loads((packed / "summary.json").read_text())
    summary["sha256"]["cutouts.npy"] = sha256_of(packed / "cutouts.npy")
    write_json(packed / "summary.json", summary)
    options = ["--packed", str(packed), "--splits", str(splits), "--out-dir", str(tmp_path / "out")]
    assert train.main(options) == 1
    assert "cutouts.npy: expected an NPY file of numbers" in capsys.readouterr().err
    assert not mark.exists()


@pytest.mark.parametrize("seed", ["$(touch mark)", "1; touch mark", "`touch mark`"])
def test_a_seed_is_a_number(seed: str) -> None:
    config = yaml.safe_load((PROJECT / "config/config.yaml").read_text())
    config["models"]["atto"]["seeds"] = [seed]
    with pytest.raises(InputError, match="seeds"):
        check_config(config, "config.yaml")


@pytest.mark.parametrize("name", ["$(touch mark)", "../../outside", "a b", "a;b", "a'b"])
@pytest.mark.parametrize("block", ["models", "ensembles", "testsets"])
def test_names_that_become_paths_are_words(block: str, name: str) -> None:
    config = yaml.safe_load((PROJECT / "config/config.yaml").read_text())
    config[block][name] = next(iter(config[block].values()))
    with pytest.raises(InputError):
        check_config(config, "config.yaml")


def test_a_list_file_writes_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    write_test_set(outside, 2)
    inside.mkdir()
    image = np.random.default_rng(0).normal(size=(41, 41))
    for name in (
        "$(touch mark)_g.fits",
        "..%2f..%2fmark_g.fits",
        "-o mark_g.fits",
        ".part.cutouts.npy_g.fits",
    ):
        (outside / name).write_bytes(primary_bytes(image := image + 1))
    names = [f"../outside/{path.name}" for path in outside.iterdir()]
    (inside / "list.txt").write_text("\n".join([*names, f"../inside/../outside/{names[0][11:]}"]) + "\n")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in outside.iterdir()}
    monkeypatch.chdir(inside)
    assert build_buckets.main(["--settings.path", "list.txt", "--out-dir", "packed"]) == 0
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in outside.iterdir()} == before
    assert {path.name for path in inside.iterdir()} == {"list.txt", "packed"}
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "inside"}
    assert json.loads((inside / "packed/summary.json").read_text())["n_cutouts"] == len(before) - 2  # hidden


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile")]
    return subprocess.run(
        [*command, "--configfile", "config.yaml", "--cores", "1", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text('data: !!python/object/apply:os.system ["touch mark"]\n')
    done = snakemake(tmp_path, "-n")
    assert "not valid JSON or YAML" in done.stdout + done.stderr
    assert not (tmp_path / "mark").exists()


@pytest.mark.e2e
def test_no_value_of_a_config_or_a_file_is_run_by_a_shell(tmp_path: Path) -> None:
    """What reaches commands: paths and names of files, and free text in settings."""
    evil = "it's $(touch mark) `touch mark`; touch mark #"
    labelled = write_labelled(tmp_path / evil, 10, bands="g")
    write_test_set(tmp_path / "blind", 2, bands="g")
    (tmp_path / "blind" / f"{evil}_g.fits").write_bytes(
        primary_bytes(np.random.default_rng(0).normal(size=(41, 41)))
    )
    network = {"timm": SMALL["network"]["timm"] | {"conv_mlp": evil}}  # any text is true
    config = {
        "data": {"labelled": {name: str(Path(path)) for name, path in labelled.items()}, "bands": ["g"]},
        "testsets": {"challenge": {"path": "blind"}},
        "models": {"m": {"network": network, "seeds": [1], "train": {"epochs": 1, "batch_size": 8}}},
        "ensembles": {"e": {"models": ["m"]}},
        "submission": {"ensemble": "e"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    blind = "results/buckets/challenge/part_0"
    done = snakemake(tmp_path, "results/models/m/seed_1/best.pt", f"{blind}/index.parquet")
    assert done.returncode == 0, done.stdout + done.stderr
    made = json.loads((tmp_path / "results/models/m/seed_1/best.json").read_text())
    assert made["settings"]["network"]["timm"]["conv_mlp"] == evil
    assert json.loads((tmp_path / blind / "summary.json").read_text())["n_cutouts"] == 3
    assert not list(tmp_path.rglob("mark"))
