"""Networks of one domain in another: what is derived from a config, and what is measured."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import measure_transfer
from stronglens.configuring.config import Config
from stronglens.configuring.transfer import transferable, with_single_domains
from stronglens.formats.digits import with_limits
from stronglens.scoring import bootstrap

SIDES = ["--source=slsim", "--target=hsc"]

RAW: dict[str, Any] = {
    "data": {
        "labelled": {
            bucket: f"/data/{bucket}"
            for bucket in ("slsim_lenses", "slsim_nonlenses", "hsc_lenses", "hsc_nonlenses")
        }
    },
    "testsets": {"challenge": {"path": "/data/test"}},
    "models": {
        "nano": {"seeds": [1, 2], "seed_overrides": {2: {"train": {"lr": 1e-4}}}},
        "old": {"checkpoints": {1: "/data/best.pt"}},
        "part": {"seeds": [1], "domains": ["hsc"]},
    },
    "ensembles": {
        "nano": {"models": ["nano"], "calibration": "platt"},
        "with_old": {"models": ["nano", "old"]},
        "part": {"models": ["part"]},
    },
    "submission": {"ensemble": "nano"},
}


def test_members_are_the_same_but_for_their_domain() -> None:
    config = Config.model_validate(RAW)
    assert transferable(config) == ["nano"]
    found = with_single_domains(config)
    assert set(found.ensembles) - set(config.ensembles) == {"nano_on_slsim", "nano_on_hsc"}
    assert found.members("nano_on_slsim") == [("nano_on_slsim", 1), ("nano_on_slsim", 2)]
    for seed in (1, 2):
        own = config.member_settings("nano", seed)
        assert found.member_settings("nano_on_hsc", seed) == own.model_copy(update={"domains": ["hsc"]})
        assert found.member_settings("nano", seed) == own
    assert found.ensembles["nano_on_hsc"].combination.validation_domains == ["hsc"]
    assert found.ensembles["nano_on_hsc"].calibration == "platt"


def test_a_network_of_one_domain_has_none_to_tell_apart() -> None:
    nano = RAW["models"]["nano"] | {"train": {"domain_weight": 0.3}}
    config = Config.model_validate(RAW | {"models": RAW["models"] | {"nano": nano}})
    found = with_single_domains(config)
    for seed in (1, 2):
        assert config.member_settings("nano", seed).train.domain_weight == 0.3
        assert found.member_settings("nano_on_hsc", seed).train.domain_weight == 0


def test_a_threshold_of_members_knows_no_domains() -> None:
    config = Config.model_validate(
        RAW | {"threshold": {"method": "mean_of_members"}, "ensembles": {"nano": {"models": ["nano"]}}}
    )
    assert transferable(config) == []


def test_a_name_that_is_kept() -> None:
    raw = RAW | {
        "ensembles": {"nano_on_hsc": {"models": ["nano"]}},
        "submission": {"ensemble": "nano_on_hsc"},
    }
    with pytest.raises(ValueError, match="nano_on_hsc is kept for what learns from one domain"):
        Config.model_validate(raw)


def write_table(folder: Path, name: str, skill: dict[str, float], seed: int, n_hsc: int = 200) -> list[str]:
    """A table of 400 held-out objects whose lenses stand out more or less in each domain, and a t*."""
    generator = np.random.default_rng(seed)
    labels = np.arange(400) % 2
    domains = np.repeat(["hsc", "slsim"], [n_hsc, 400 - n_hsc])
    logits = generator.normal(
        [skill[domain] * label for domain, label in zip(domains, labels, strict=True)], 1
    )
    names = [f"{domain}/{number:03d}" for number, domain in enumerate(domains)]
    columns = {"object": names, "domain": domains, "label": labels, "prob": 1 / (1 + np.exp(-logits))}
    pd.DataFrame(columns).to_csv(folder / f"{name}.csv", index=False)
    (folder / f"{name}.txt").write_text("0.7\n")
    prefix = "" if name == "source" else "reference-"
    return [f"--{prefix}csv={folder}/{name}.csv", f"--{prefix}threshold-file={folder}/{name}.txt"]


def test_the_drop_and_the_gap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = write_table(tmp_path, "source", {"slsim": 3, "hsc": 1}, 0)
    options += write_table(tmp_path, "reference", {"slsim": 3, "hsc": 2.5}, 1)
    assert measure_transfer.main([*options, *SIDES, f"--out={tmp_path}/out.json"]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    auc = {}
    for name in ("source", "reference"):
        table = pd.read_csv(tmp_path / f"{name}.csv")
        for domain, rows in table.groupby("domain"):
            auc[name, domain] = roc_auc_score(rows["label"], rows["prob"])
    drop, gap = found["drop"]["roc_auc"], found["gap"]["roc_auc"]
    assert drop["value"] == pytest.approx(auc["source", "slsim"] - auc["source", "hsc"])
    assert gap["value"] == pytest.approx(auc["reference", "hsc"] - auc["source", "hsc"])
    for told in (drop, gap):
        low, high = told["interval"]
        assert 0 < low < told["value"] < high
    assert found["n_objects"] == {"slsim": 200, "hsc": 200}
    assert f"a drop of {with_limits(drop['value'], drop['interval'])}" in capsys.readouterr().err


def test_the_same_networks_have_no_gap_and_no_interval_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "N_RESAMPLES", 20)
    options = write_table(tmp_path, "source", {"slsim": 3, "hsc": 1}, 0)
    options += write_table(tmp_path, "reference", {"slsim": 3, "hsc": 1}, 0)
    assert measure_transfer.main([*options, *SIDES, f"--out={tmp_path}/out.json"]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["gap"]["roc_auc"] == {"value": 0, "interval": [0, 0]}
    assert found["gap"]["accuracy"] == {"value": 0, "interval": [0, 0]}


def test_large_domains_are_resampled_equally_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "MOST_DRAWN", 10_000)
    monkeypatch.setattr(bootstrap, "FEWEST_RESAMPLES", 10)
    options = write_table(tmp_path, "source", {"slsim": 3, "hsc": 1}, 0, n_hsc=300)
    options += write_table(tmp_path, "reference", {"slsim": 3, "hsc": 1}, 0, n_hsc=300)
    assert measure_transfer.main([*options, *SIDES, f"--out={tmp_path}/out.json"]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["n_resamples"] == 25
    low, high = found["drop"]["roc_auc"]["interval"]
    assert low < high


def test_tables_of_other_objects_and_domains_that_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = write_table(tmp_path, "source", {"slsim": 3, "hsc": 1}, 0)
    options += write_table(tmp_path, "reference", {"slsim": 3, "hsc": 1}, 0)
    table = pd.read_csv(tmp_path / "source.csv")
    table[table["domain"] == "hsc"].to_csv(tmp_path / "source.csv", index=False)
    assert measure_transfer.main([*options, *SIDES, f"--out={tmp_path}/out.json"]) == 1
    assert "expected the same objects" in capsys.readouterr().err
    (tmp_path / "reference.csv").write_bytes((tmp_path / "source.csv").read_bytes())
    assert measure_transfer.main([*options, *SIDES, f"--out={tmp_path}/out.json"]) == 1
    assert "domain slsim: expected scored objects, found none" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()
