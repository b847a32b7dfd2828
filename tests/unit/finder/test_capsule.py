"""A capsule: complete, the same bytes again, and refused where a byte of it was changed."""

import dataclasses
import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from capsule_files import TinyRun, write_run
from stronglens.finder import members
from stronglens.finder.commands import main
from stronglens.finder.finder import load
from stronglens.finder.model_card import model_card
from stronglens.formats.capsule import CARD, MANIFEST, read_capsule, write_capsule
from stronglens.formats.digits import stated
from stronglens.running.errors import InputError
from stronglens.settings.member import MemberSettings


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return write_run(tmp_path_factory.mktemp("run"), {"each": {"preprocess": {"normalisation": "asinh"}}})


@pytest.fixture(scope="module")
def capsule(run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("capsule") / "tiny.capsule"
    settings = {"pixel_scale_arcsec": 0.2, "licence": "CC-BY-4.0", "citation": "Doe et al. (2026)"}
    assert run.make_capsule(path, "--settings", json.dumps(settings)) == 0
    return path


def test_the_manifest_holds_what_made_the_ensemble(run: TinyRun, capsule: Path) -> None:
    manifest = read_capsule(capsule).manifest
    assert (manifest.format, manifest.name, manifest.bands, manifest.size_px) == (
        1,
        "tiny",
        list("grizy"),
        33,
    )
    assert (manifest.pixel_scale_arcsec, manifest.licence, manifest.simulated) == (0.2, "CC-BY-4.0", True)
    assert manifest.threshold == float((run.validation / "threshold.txt").read_text())
    assert manifest.threshold_interval is not None
    assert set(manifest.scores) == {"val", "heldout"}
    (member,) = manifest.members
    best = json.loads((run.member("each") / "best.json").read_text())
    assert member.weights_sha256 == best["weights_sha256"]
    assert member.trained_on["cutouts_sha256"] == best["cutouts_sha256"]
    # The normalisation that training measured.
    assert set(member.settings.preprocess.asinh_softening_of_band) == set("grizy")
    assert member.settings.model_dump(mode="json") == best["settings"]
    assert re.fullmatch("[0-9a-f]{64}", manifest.code["sha256"])


def test_the_model_card_states_scores_with_intervals_and_limits(capsule: Path) -> None:
    card = read_capsule(capsule).read(CARD).decode()
    for title in ("Intended use", "Input", "Decision", "Scores", "Completeness", "Drift", "Limits", "Origin"):
        assert f"\n## {title}\n" in card
    manifest = read_capsule(capsule).manifest
    auc = manifest.scores["heldout"]["global"]["roc_auc"]
    assert f"| area under the ROC curve | {auc:.3f}" in card
    assert "embedded simulation" in card
    assert "Doe et al. (2026)" in card
    assert "asinh normalisation (softening in counts: g " in card


@pytest.mark.parametrize(
    ("given", "precision", "stated"),
    [("auto", "tf32", "tf32"), ("tf32", "tf32", None), ("auto", "bf16", None), ("auto", "float32", None)],
)
def test_a_capsule_is_computed_in_what_was_chosen_for_training(
    given: str,
    precision: str,
    stated: str | None,
    run: TinyRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the workflow's predictions are; what follows from the card anyway is not stated."""
    shutil.copytree(run.root, tmp_path / "run")
    here = dataclasses.replace(run, root=tmp_path / "run")
    best = here.member("each") / "best.json"
    described = json.loads(best.read_text()) | {"precision": precision}
    described["settings"]["train"]["precision"] = given
    best.write_text(json.dumps(described))
    path = tmp_path / "x.capsule"
    assert here.make_capsule(path) == 0
    assert [member.trained_in for member in read_capsule(path).manifest.members] == [stated]
    with zipfile.ZipFile(path) as content:  # otherwise capsules keep the bytes they had
        assert (b"trained_in" in content.read(MANIFEST)) == (stated is not None)

    def as_trained(device: torch.device, settings: MemberSettings, trained_in: str | None) -> MemberSettings:
        assert trained_in == stated
        return settings.model_copy(update={"train": settings.train.model_copy(update={"precision": "bf16"})})

    images = np.random.default_rng(1).normal(size=(4, 1, 33, 33))
    plain = load(path, backend="torch").predict(images, bands=["g"])
    monkeypatch.setattr(members, "as_trained", as_trained)
    chosen = load(path, backend="torch").predict(images, bands=["g"])
    assert 0 < np.abs(plain.prob - chosen.prob).max() < 2e-2


def test_drift_that_was_measured_is_stated(run: TinyRun, tmp_path: Path) -> None:
    values = {"blind": [0.0, 1.0, 2.0], "training": {"b": [0.0, 0.5, 1.0]}}
    same = {"statistic": "sky", "band": "g", "distance": 0.1, "limit": 0.2, "drifts": False, **values}
    other = {"statistic": "noise", "band": "r", "distance": 0.5, "limit": 0.2, "drifts": True, **values}
    shared = {"n_cutouts": 0, "splits": {}, "first": []}
    drift = {"n_drifting": 1, "compared": [same, other], "identical_cutouts": shared, "sha256": {}}
    (tmp_path / "drift.json").write_text(json.dumps(drift))
    path = tmp_path / "x.capsule"
    assert run.make_capsule(path, "--drift", f"challenge={tmp_path / 'drift.json'}") == 0
    opened = read_capsule(path)
    found = {key: other[key] for key in ("statistic", "band", "distance", "limit")}
    assert opened.manifest.drift == {"challenge": {"n_compared": 2, "drifting": [found]}}
    said = "`challenge`: differs from the training data in noise r (2 numbers compared)"
    assert said in opened.read(CARD).decode()


def test_what_a_distilled_network_loses_is_stated(run: TinyRun, tmp_path: Path) -> None:
    """Against a teacher that knows each held-out object but one."""
    own = run.heldout / "test_ens_labeled.csv"
    table = pd.read_csv(own)
    table["prob"] = np.where(table["label"] == 1, 0.9, 0.1)
    first = table.index[table["label"] == 1][0]
    table.loc[first, "prob"] = 0.05
    csv = tmp_path / "test_ens_labeled.csv"
    table.to_csv(csv, index=False)
    described = json.loads((run.heldout / "test_ens.json").read_text())
    described |= {"threshold": 0.5, "sha256": {csv.name: hashlib.sha256(csv.read_bytes()).hexdigest()}}
    (tmp_path / "test_ens.json").write_text(json.dumps(described))
    path = tmp_path / "x.capsule"
    compared = ["--teacher", f"nano={csv}", "--heldout-table", str(own)]
    assert run.make_capsule(path, *compared) == 0
    opened = read_capsule(path)
    teacher, scores = opened.manifest.teacher, opened.manifest.scores["heldout"]["global"]
    assert teacher is not None
    assert (teacher.name, teacher.n_members, teacher.n_objects) == ("nano", 1, len(table))
    n_lenses = int((table["label"] == 1).sum())
    assert teacher.reference["recall"]["value"] == pytest.approx(1 - 1 / n_lenses)
    assert teacher.own["roc_auc"]["value"] == pytest.approx(scores["roc_auc"])
    assert teacher.own["recall"]["value"] == pytest.approx(scores["recall"])
    for metric, lost in teacher.lost.items():
        difference = teacher.reference[metric]["value"] - teacher.own[metric]["value"]
        assert lost["value"] == pytest.approx(difference)
        assert lost["interval"][0] <= lost["value"] <= lost["interval"][1]
    card = opened.read(CARD).decode()
    assert "\n## Distilled\n" in card
    assert "the ensemble `nano` of one network" in card
    assert f"| completeness at t* | {stated(scores['recall'], teacher.own['recall']['interval'])} (" in card
    assert "surer than of others. Neither" in card
    taught = {"distil_from": "nano", "distil_on": ["challenge"]}
    members = [
        one.model_copy(update={"settings": one.settings.model_copy(update=taught)})
        for one in opened.manifest.members
    ]
    more = model_card(opened.manifest.model_copy(update={"members": members}))
    assert "surer than of others, and the objects of `challenge`, without labels. Neither" in more
    assert run.make_capsule(tmp_path / "y.capsule", *compared[:2]) == 1
    table.iloc[1:].to_csv(csv, index=False)
    described["sha256"] = {csv.name: hashlib.sha256(csv.read_bytes()).hexdigest()}
    (tmp_path / "test_ens.json").write_text(json.dumps(described))
    assert run.make_capsule(tmp_path / "y.capsule", *compared) == 1
    assert not (tmp_path / "y.capsule").exists()


def test_equal_content_gives_equal_bytes(run: TinyRun, capsule: Path, tmp_path: Path) -> None:
    settings = {"pixel_scale_arcsec": 0.2, "licence": "CC-BY-4.0", "citation": "Doe et al. (2026)"}
    assert run.make_capsule(tmp_path / "again.capsule", "--settings", json.dumps(settings)) == 0
    assert (tmp_path / "again.capsule").read_bytes() == capsule.read_bytes()


def test_any_program_lists_it(capsule: Path) -> None:
    with zipfile.ZipFile(capsule) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [MANIFEST, CARD, "weights/each_seed_42.safetensors"]


def mutated(content: bytes, generator: np.random.Generator) -> bytes:
    """A bit changed, bytes lost, doubled or exchanged, the end cut off or something added."""
    at = generator.integers(len(content))
    changed = bytearray(content)
    match generator.integers(6):
        case 0 | 1:
            changed[at] ^= 1 << int(generator.integers(8))
        case 2:
            del changed[at : at + generator.integers(1, 100)]
        case 3:
            changed[at:at] = changed[at : at + generator.integers(1, 100)]
        case 4:
            del changed[at:]
        case 5:
            changed += bytes(int(generator.integers(1, 100)))
    return bytes(changed)


def test_a_hundred_mutated_capsules_are_refused(capsule: Path, tmp_path: Path) -> None:
    content, generator = capsule.read_bytes(), np.random.default_rng(1)
    path = tmp_path / "mutated.capsule"
    n_tried = 0
    while n_tried < 100:
        path.write_bytes(mutated(content, generator))
        if path.read_bytes() == content:
            continue
        n_tried += 1
        with pytest.raises(InputError, match=r"mutated\.capsule: .*(changed|no ZIP archive)"):
            read_capsule(path)


@pytest.mark.parametrize("where", ["magic", "directory", "seal", "manifest"])
def test_a_changed_bit_is_seen_also_where_zip_readers_do_not_look(
    capsule: Path, tmp_path: Path, where: str
) -> None:
    content = bytearray(capsule.read_bytes())
    places = {
        "magic": 10,  # the time of the first file
        "directory": content.rindex(b"PK\x01\x02") + 12,  # the time of the last file, in the directory
        "seal": len(content) - 1,
        "manifest": content.index(b'"threshold":') + len('"threshold": 0.'),
    }
    content[places[where]] ^= 1
    (tmp_path / "x.capsule").write_bytes(content)
    with pytest.raises(InputError, match="the capsule was changed since it was made"):
        read_capsule(tmp_path / "x.capsule")


@pytest.mark.parametrize("name", [CARD, "weights/each_seed_42.safetensors"])
def test_the_file_that_was_changed_is_named(capsule: Path, tmp_path: Path, name: str) -> None:
    content = bytearray(capsule.read_bytes())
    with zipfile.ZipFile(capsule) as archive:
        start = content.index(archive.read(name))
    content[start + 20] ^= 1
    (tmp_path / "x.capsule").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"x.capsule: {name}: ")):
        read_capsule(tmp_path / "x.capsule")


def resealed(path: Path, source: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A capsule with another manifest, whose hashes are right: what whoever means harm would hand on."""
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    stated = json.loads(files[MANIFEST])
    change(stated)
    files[MANIFEST] = json.dumps(stated).encode()
    seal = b"stronglens capsule sha256:"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.comment = seal + b"0" * 64
    content = path.read_bytes()[:-64]
    path.write_bytes(content + hashlib.sha256(content).hexdigest().encode())
    return path


def test_resealing_alone_changes_nothing(capsule: Path, tmp_path: Path) -> None:
    same = resealed(tmp_path / "x.capsule", capsule, lambda stated: None)
    assert read_capsule(same).manifest == read_capsule(capsule).manifest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"format": 2},
            "expected a capsule of format 1 or older, found format 2; install a newer stronglens",
        ),
        ({"format": "1; import os"}, r"manifest\.json: format: "),
        ({"threshold": 1.5}, r"manifest\.json: threshold: "),
        ({"threshold": "__import__('os')"}, r"manifest\.json: threshold: "),
        ({"hook": "os.system"}, r"manifest\.json: hook: "),
        ({"members": []}, r"manifest\.json: members: "),
        ({"bands": []}, r"manifest\.json: bands: "),
        ({"bands": list("griig")}, "expected different words of letters and digits, found g, r, i, i, g"),
        ({"bands": ["g", "../r"]}, "expected different words of letters and digits"),
    ],
)
def test_a_manifest_is_data(capsule: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = resealed(tmp_path / "x.capsule", capsule, lambda stated: stated.update(change))
    with pytest.raises(InputError, match=said):
        read_capsule(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bands": ["g", "u"]}, "each seed 42: expected bands of the capsule, g, r, i, z, y, found g, u"),
        # timm would open it: the capsule itself could be a pickle.
        (
            {"network": {"timm": {"checkpoint_path": "x.capsule"}}},
            "found checkpoint_path: no file is named here",
        ),
        (
            {"network": {"timm": {"pretrained_cfg": {"file": "x"}}}},
            "found pretrained_cfg: no file is named here",
        ),
    ],
)
def test_a_member_is_one_of_its_capsule(
    capsule: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    def changed(stated: dict[str, Any]) -> None:
        stated["members"][0]["settings"].update(change)

    with pytest.raises(InputError, match=said):
        read_capsule(resealed(tmp_path / "x.capsule", capsule, changed))


def test_no_member_is_there_twice(capsule: Path, tmp_path: Path) -> None:
    def twice(stated: dict[str, Any]) -> None:
        stated["members"] *= 2

    with pytest.raises(InputError, match="expected each once, found one twice"):
        read_capsule(resealed(tmp_path / "x.capsule", capsule, twice))


def test_weights_of_members_are_as_many_as_those(capsule: Path, tmp_path: Path) -> None:
    def weighted(stated: dict[str, Any]) -> None:
        stated["combination"] = {"settings": {"combine_members": "weighted"}, "member_weights": [0.5, 0.5]}

    with pytest.raises(InputError, match="expected a weight for each of 1 members, found 2"):
        load(resealed(tmp_path / "x.capsule", capsule, weighted), device="cpu")


@pytest.mark.parametrize("name", ["../evil", "/etc/x", ".hidden", "weights/../x"])
def test_files_of_a_capsule_stay_in_it(capsule: Path, tmp_path: Path, name: str) -> None:
    """Where somebody unpacks it."""
    opened = read_capsule(capsule)
    stated = opened.manifest.model_dump(mode="json")
    contents = {file: opened.read(file) for file in stated.pop("files")}
    with pytest.raises(ValueError, match="String should match pattern"):
        write_capsule(tmp_path / "x.capsule", stated, contents | {name: b"x"})


def test_links_and_compressed_files_are_refused(capsule: Path, tmp_path: Path) -> None:
    def written(name: str, compression: int, mode: int) -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(capsule) as old, zipfile.ZipFile(path, "w", compression) as new:
            for entry in old.namelist():
                info = zipfile.ZipInfo(entry)
                info.compress_type = compression
                info.external_attr = (mode if entry == CARD else 0o100644) << 16
                new.writestr(info, old.read(entry))
            new.comment = old.comment
        content = path.read_bytes()[:-64]
        path.write_bytes(content + hashlib.sha256(content).hexdigest().encode())
        return path

    assert read_capsule(written("same", zipfile.ZIP_STORED, 0o100644)).manifest.name == "tiny"
    with pytest.raises(InputError, match=r"model_card\.md: expected a file, found a link"):
        read_capsule(written("link", zipfile.ZIP_STORED, 0o120777))
    with pytest.raises(InputError, match=r"manifest\.json: expected a file without compression"):
        read_capsule(written("bomb", zipfile.ZIP_DEFLATED, 0o100644))


def test_weights_elsewhere_are_not_read(capsule: Path, tmp_path: Path) -> None:
    def elsewhere(stated: dict[str, Any]) -> None:
        stated["members"][0]["weights"] = "../../etc/passwd"

    with pytest.raises(InputError, match=r"members\.0\.weights"):
        read_capsule(resealed(tmp_path / "x.capsule", capsule, elsewhere))


def test_a_file_that_is_not_listed_is_refused(capsule: Path, tmp_path: Path) -> None:
    def unlisted(stated: dict[str, Any]) -> None:
        del stated["files"][CARD]

    with pytest.raises(InputError, match=r"found others: 'model_card\.md'"):
        read_capsule(resealed(tmp_path / "x.capsule", capsule, unlisted))


def test_what_is_no_capsule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.capsule: expected a capsule, found none"):
        read_capsule(tmp_path / "none.capsule")
    (tmp_path / "text").write_text("nothing")
    with pytest.raises(InputError, match="expected a capsule, found no ZIP archive"):
        read_capsule(tmp_path / "text")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(InputError, match="expected a capsule, found another ZIP archive"):
        read_capsule(tmp_path / "other.zip")


def test_what_does_not_belong_together_is_refused(
    run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = TinyRun(run.root, {"each": {}}, {})
    stated = json.loads((run.validation / "val_ens.json").read_text())
    copy = tmp_path / "run" / "ensemble" / "val"
    copy.mkdir(parents=True)
    for name in ("threshold.txt", "metrics_val_ens.json"):
        (copy / name).write_bytes((run.validation / name).read_bytes())
    arguments = [
        "--members",
        str(other.member("each")),
        "--validation",
        str(copy),
        "--labelled",
        str(run.packed),
    ]
    arguments += ["--ensemble", "tiny", "--out", str(tmp_path / "x.capsule")]
    import capsule as step

    for change, said in (
        ({"level": "file"}, "expected an ensemble of level object, found level file"),
        ({"members": [{**stated["members"][0], "seed": 7}]}, "expected the folder of member each seed 7"),
        ({"members": [{**stated["members"][0], "weights_sha256": "0" * 64}]}, "expected the weights of"),
    ):
        (copy / "val_ens.json").write_text(json.dumps(stated | change))
        assert step.main(arguments) == 1
        assert said in capsys.readouterr().err
    (copy / "val_ens.json").write_text(json.dumps(stated))
    (copy / "threshold.txt").write_text("0.123\n")
    assert step.main(arguments) == 1
    assert "expected metrics at t* = 0.123" in capsys.readouterr().err
    assert not (tmp_path / "x.capsule").exists()


def test_info_prints_the_card_or_the_manifest(capsule: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(capsule)]) == 0
    assert capsys.readouterr().out.startswith("# tiny\n")
    assert main(["info", str(capsule), "--manifest"]) == 0
    assert json.loads(capsys.readouterr().out) == read_capsule(capsule).manifest.model_dump(mode="json")
    assert main(["info", str(capsule.parent / "none")]) == 1
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert "stronglens predict" in capsys.readouterr().out


def test_a_file_is_checked_again_when_it_is_used(capsule: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.capsule"
    path.write_bytes(capsule.read_bytes())
    opened = read_capsule(path)
    stated = opened.manifest.model_dump(mode="json", exclude={"files"})
    files = {name: opened.read(name) for name in opened.manifest.files}
    write_capsule(path, stated, files | {CARD: b"another"})
    with pytest.raises(InputError, match=r"model_card\.md: expected sha256"):
        opened.read(CARD)
