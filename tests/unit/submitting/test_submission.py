import csv
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import compute

import submission
from ensemble import main as ensemble_main
from made_predictions import cutouts_of, write_packed_tables, write_prediction
from stronglens.formats.artefact import sha256_of, write_json
from stronglens.formats.tables import TEXT
from stronglens.running.errors import InputError
from stronglens.submitting.submission import Answers, check_submission, write_submission
from stronglens.submitting.submission_forms import FORMS

OBJECTS = [f"object_{number:05d}" for number in range(12)]

FULL = (
    "id,preds,RA,Dec,zlens,vel disp,ell_m,ell_m_PA,sh,sh_PA,Rein,ell_l,ell_l_PA,Reff_l,n_l_sers,mag_lens_g,"
    "mag_lens_r,mag_lens_i,mag_lens_z,mag_lens_y,zsrc,srcx,srcy,mag_src_g,mag_src_r,mag_src_i,mag_src_z,mag_src_y,"
    "ell_s,ell_s_PA,Reff_s,n_s_sers"
)
TEMPLATE = (
    "id,preds,ra,dec,zlens,mag_lens_g,mag_lens_r,mag_lens_i,mag_lens_z,mag_lens_y,ell_l,ell_l_PA,Rein,"
    "vel disp,sh,sh_PA,srcx,srcy,mag_src_g,mag_src_r,mag_src_i,mag_src_z,mag_src_y,zsrc,ell_s,ell_s_PA,"
    "Reff_s,n_s_sers,ell_m,ell_m_PA,Reff_l,n_l_sers,vel_disp,RA,Dec,mag_object_g,mag_object_r,mag_object_i,"
    "mag_object_z,mag_object_y,z_central"
)


def prob_of(key: str, band: str) -> float:
    """Every third object is a lens at the threshold 0.5, just so."""
    return 0.5 if int(key[-5:]) % 3 == 0 else 0.2 + 0.001 * int(key[-5:])


def write_test_set(
    folder: Path,
    *,
    rejected: tuple[tuple[str, str], ...] = (),
    level: str = "object",
    n_parts: int = 1,
    keep: Callable[[str], bool] = lambda key: True,
    path_of: Callable[[str, str], str] = lambda key, band: f"/data/{key}_{band}.fits",
) -> None:
    """A packed test set in parts, predicted by one member, and its ensemble in `folder/ens`."""
    for part in range(n_parts):
        packed = write_packed_tables(
            folder / f"packed/part_{part}",
            cutouts_of(OBJECTS[part::n_parts]),
            labelled=False,
            rejected=rejected[part::n_parts],
            path_of=path_of,
        )
        write_prediction(folder / f"pred/part_{part}", packed, prob_of, which="test", keep=keep)
    (folder / "t.txt").write_text("0.5\n")
    options = (
        f"--predictions={folder}/pred --packed={folder}/packed --parts={n_parts} --which=test --level={level}"
    )
    assert ensemble_main([*options.split(), f"--threshold={folder}/t.txt", f"--out-dir={folder}/ens"]) == 0


def run(folder: Path, *options: str, n_parts: int = 1, **settings: Any) -> int:
    return submission.main(
        [
            f"--ensemble-csv={folder}/ens/test_ens.csv",
            f"--packed={folder}/packed",
            f"--parts={n_parts}",
            f"--out={folder}/out/submission.csv",
            f"--provenance={folder}/out/submission.json",
            "--settings",
            json.dumps({"ensemble": "nano"} | settings),
            *options,
        ]
    )


def refused(capsys: pytest.CaptureFixture[str], folder: Path, code: int = 1, **settings: Any) -> str:
    """The message of a run that must fail and leave nothing."""
    capsys.readouterr()
    assert run(folder, **settings) == code
    assert not list(folder.glob("out/*"))
    return capsys.readouterr().err


def lines(folder: Path) -> list[str]:
    content = (folder / "out/submission.csv").read_bytes().decode()
    assert content.endswith("\n")
    assert "\r" not in content
    return content.splitlines()


def expected_preds() -> dict[str, str]:
    return {key: str(int(int(key[-5:]) % 3 == 0)) for key in OBJECTS}


@pytest.mark.parametrize(
    ("form", "header", "n_columns", "filler"),
    [("full", FULL, 32, "-99"), ("template", TEMPLATE, 41, "-999"), ("short", "id,preds", 2, "")],
)
def test_forms_with_preds(tmp_path: Path, form: str, header: str, n_columns: int, filler: str) -> None:
    write_test_set(tmp_path)
    assert run(tmp_path, form=form) == 0
    first, *rows = lines(tmp_path)
    assert first == header
    cells = [row.split(",") for row in rows]
    assert [row[0] for row in cells] == OBJECTS
    assert {row[0]: row[1] for row in cells} == expected_preds()
    assert {len(row) for row in cells} == {n_columns}
    assert {value for row in cells for value in row[2:]} == ({filler} if filler else set())


def test_full_is_the_default(tmp_path: Path) -> None:
    write_test_set(tmp_path)
    assert run(tmp_path) == 0
    assert lines(tmp_path)[0] == FULL


def test_probabilities(tmp_path: Path) -> None:
    write_test_set(tmp_path, rejected=(("/data/object_00099_g.fits", "object_00099"),))
    assert run(tmp_path, form="probabilities", unreadable_pred=1) == 0
    first, *rows = lines(tmp_path)
    assert first == "id,prob"
    found = {row.split(",")[0]: float(row.split(",")[1]) for row in rows}
    # The mean over the bands, not their probabilities, is what is submitted.
    assert found == pytest.approx(
        {key: prob_of(key, "g") for key in OBJECTS} | {"object_00099": 1.0}, rel=1e-15
    )


@pytest.mark.parametrize("answer", [0, 1])
def test_unreadable_object_is_answered_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: int
) -> None:
    rejected = (
        ("/data/object_00007x_g.fits", "object_00007x"),
        ("/data/object_00007x_r.fits", "object_00007x"),
        ("/data/object_00003_g.fits", "object_00003"),  # its other bands can be read
        ("/data/_manifest.txt", ""),  # belongs to no object
    )
    write_test_set(tmp_path, rejected=rejected)
    assert run(tmp_path, unreadable_pred=answer, form="short") == 0
    expected = expected_preds() | {"object_00007x": str(answer)}
    assert lines(tmp_path)[1:] == [f"{key},{expected[key]}" for key in sorted(expected)]
    record = json.loads((tmp_path / "out/submission.json").read_text())
    assert (record["unreadable"], record["unreadable_pred"]) == (["object_00007x"], answer)
    assert (record["n_rows"], record["n_lenses"]) == (13, 4 + answer)
    message = capsys.readouterr().err
    assert "1 of 13 could not be read" in message
    assert "object_00007x" in message


@pytest.mark.parametrize("answer", [0, 1])
def test_an_object_that_no_member_looks_at_is_unreadable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: int
) -> None:
    # Of object 3, a lens by its probability, there is one file, with a bare name: no band of the stack.
    cutouts = [*cutouts_of([key for key in OBJECTS if key != OBJECTS[3]]), (OBJECTS[3], "none")]
    packed = write_packed_tables(tmp_path / "packed/part_0", sorted(cutouts), labelled=False)
    write_prediction(
        *(tmp_path / "pred/part_0", packed, prob_of), which="test", stacked=True, bands=list("grizy")
    )
    (tmp_path / "t.txt").write_text("0.5\n")
    options = f"--predictions={tmp_path}/pred --packed={tmp_path}/packed --parts=1 --which=test"
    options += f" --threshold={tmp_path}/t.txt --out-dir={tmp_path}/ens"
    assert ensemble_main(options.split()) == 0
    said = capsys.readouterr().err
    assert "1 have no readable cutout in a band that a member looks at: object_00003" in said
    assert run(tmp_path, unreadable_pred=answer, form="short") == 0
    expected = expected_preds() | {OBJECTS[3]: str(answer)}
    assert lines(tmp_path)[1:] == [f"{key},{expected[key]}" for key in sorted(expected)]
    record = json.loads((tmp_path / "out/submission.json").read_text())
    assert (record["unreadable"], record["unreadable_pred"]) == ([OBJECTS[3]], answer)


def test_record(tmp_path: Path) -> None:
    write_test_set(tmp_path, n_parts=2)
    assert run(tmp_path, "--simulated", n_parts=2, testset="blind") == 0
    record = json.loads((tmp_path / "out/submission.json").read_text())
    assert record.pop("versions").keys() >= {"torch", "timm", "numpy", "python"}
    assert record.pop("code").keys() == {"revision", "dirty", "changed", "sha256"}
    assert record.pop("machine").keys() == {"name", "system", "processor", "n_cores"}
    assert [(member["model"], member["seed"]) for member in record.pop("members")] == [("nano", 42)]
    summaries = [json.loads((tmp_path / f"packed/part_{part}/summary.json").read_text()) for part in (0, 1)]
    files = record.pop("files")
    assert files[str(tmp_path / "ens/test_ens.csv")] == sha256_of(tmp_path / "ens/test_ens.csv")
    assert files[str(tmp_path / "packed/part_1/cutouts.npy")] == summaries[1]["sha256"]["cutouts.npy"]
    assert record.pop("folders")["packed"] == [str(tmp_path / f"packed/part_{part}") for part in (0, 1)]
    assert record.pop("settings")["submission"] == {
        "ensemble": "nano",
        "testset": "blind",
        "form": "full",
        "unreadable_pred": 0,
    }
    assert record == {
        "format": 2,
        "form": "full",
        "n_rows": 12,
        "n_lenses": 4,
        "threshold": 0.5,
        "level": "object",
        "ensemble": "nano",
        "testset": "blind",
        "data_sha256": [summary["sha256"] for summary in summaries],
        "unreadable": [],
        "unreadable_pred": 0,
        "simulated": True,
        "sha256": {"submission.csv": sha256_of(tmp_path / "out/submission.csv")},
    }


def test_changed_code_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {"sha256": "a" * 64, "revision": "b" * 40, "dirty": True, "changed": ["rules/train.smk"]}
    monkeypatch.setattr("stronglens.submitting.submission.code_state", lambda: state)
    write_test_set(tmp_path)
    assert run(tmp_path) == 0
    assert "the code differs from revision bbbbbbbbbbbb: rules/train.smk" in capsys.readouterr().err
    assert json.loads((tmp_path / "out/submission.json").read_text())["code"] == state


def test_user_data_are_not_simulated(tmp_path: Path) -> None:
    write_test_set(tmp_path)
    assert run(tmp_path) == 0
    assert json.loads((tmp_path / "out/submission.json").read_text())["simulated"] is False


@pytest.mark.parametrize("level", ["object", "file"])
def test_number_of_parts_changes_nothing(tmp_path: Path, level: str) -> None:
    rejected = tuple((f"/data/x{number}_g.fits", f"x{number}") for number in range(5))
    contents = []
    for n_parts in (1, 3):
        folder = tmp_path / str(n_parts)
        write_test_set(folder, rejected=rejected, n_parts=n_parts, level=level)
        assert run(folder, n_parts=n_parts) == 0
        contents.append((folder / "out/submission.csv").read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("ending", [".fits", ".FITS", ".fits.gz", ".fit", ".fits.Z", ".fz"])
def test_level_file_has_a_row_for_each_stem(tmp_path: Path, ending: str) -> None:
    write_test_set(
        tmp_path,
        level="file",
        rejected=((f"/data/object_00003_x.v2{ending}", "object_00003"),),
        # In the order of paths the objects come the other way round.
        path_of=lambda key, band: f"/data/{99_999 - int(key[-5:])}.fits.d/{key}_{band}{ending}",
    )
    assert run(tmp_path, form="short") == 0
    expected = {f"{key}_{band}": pred for key, pred in expected_preds().items() for band in "grizy"}
    expected |= {"object_00003_x.v2": "0"}
    assert lines(tmp_path)[1:] == [f"{stem},{expected[stem]}" for stem in sorted(expected)]


def test_two_files_of_one_stem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_test_set(tmp_path, level="file", path_of=lambda key, band: f"/data/{key}/cutout_{band}.fits")
    assert "expected each id once, found cutout_g more than once" in refused(capsys, tmp_path)


def test_object_without_a_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The original made such objects non-lenses without a word."""
    write_test_set(tmp_path, keep=lambda key: key != OBJECTS[5])
    assert f"found none for 1: {OBJECTS[5]}" in refused(capsys, tmp_path)


def test_object_that_is_not_in_the_test_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_test_set(tmp_path, n_parts=2)  # submitted with the first part only
    message = refused(capsys, tmp_path)
    assert f"found 6 that are not in it: {OBJECTS[1]}" in message


def change_ensemble(folder: Path, old: str, new: str) -> None:
    """Put other content into the ensemble's table, and describe it rightly."""
    table = folder / "ens/test_ens.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new, 1))
    description = json.loads((folder / "ens/test_ens.json").read_text())
    write_json(folder / "ens/test_ens.json", description | {"sha256": {"test_ens.csv": sha256_of(table)}})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",1\n", ",2\n", "line 2: expected pred 0 or 1, found 2"),
        (",1\n", ",\n", "line 2: expected a number in column pred"),
        (",0.5,", ",nan,", "line 2: expected a number in column prob"),
        (",0.5,", ",1.5,", "line 2: expected a probability"),
        (",pred\n", ",called\n", "found none named pred"),
        ("object_00001,", "object_00000,", "expected each id once, found object_00000 more than once"),
    ],
)
def test_malformed_ensemble(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    write_test_set(tmp_path)
    change_ensemble(tmp_path, old, new)
    assert message in refused(capsys, tmp_path)


def test_changed_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_test_set(tmp_path)
    rejected = tmp_path / "packed/part_0/rejected.csv"
    before = rejected.read_text()
    rejected.write_text(before + "/data/x_g.fits,,x,truncated\n")
    assert "rejected.csv: expected sha256" in refused(capsys, tmp_path)
    rejected.write_text(before)
    table = tmp_path / "ens/test_ens.csv"
    table.write_text(table.read_text().replace(",1\n", ",0\n"))
    assert "test_ens.csv: expected sha256" in refused(capsys, tmp_path)


def test_validation_ensemble_is_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_test_set(tmp_path)
    description = json.loads((tmp_path / "ens/test_ens.json").read_text())
    del description["threshold"]
    write_json(tmp_path / "ens/test_ens.json", description)
    assert "found one without a threshold" in refused(capsys, tmp_path)


def test_missing_options_are_all_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert submission.main(["--settings.form=full"]) == 2
    message = capsys.readouterr().err
    for name in ("ensemble-csv", "packed", "out", "provenance", "settings.ensemble"):
        assert f"{name}: missing" in message


def test_unknown_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_test_set(tmp_path)
    assert 'settings.form: found "long"' in refused(capsys, tmp_path, code=2, form="long")


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("short", "id,preds\na,0\nb,1\n", None),
        ("probabilities", "id,prob\na,0.25\nb,1\n", None),
        ("short", "preds,id\n0,a\n1,b\n", "expected the columns id,preds; found preds,id"),
        ("full", "id,preds\na,0\nb,1\n", "expected the columns id,preds,RA,"),
        ("short", "id,preds\na,0\n", "expected 2 rows, found 1"),
        ("short", "id,preds\na,0\nb,1\nc,1\n", "expected 2 rows, found 3"),
        ("short", "id,preds\nb,0\na,1\n", "line 2: expected id a, found b"),
        ("short", "id,preds\na,0\na,1\n", "line 3: expected id b, found a"),
        ("short", "id,preds\na,0\nb,2\n", "expected a probability from 0 to 1 in column preds, found 2"),
        ("short", "id,preds\na,0\nb,0.5\n", "malformed"),
        ("short", "id,preds\na,0\nb,\n", "expected a number in column preds"),
        ("probabilities", "id,prob\na,0.25\nb,nan\n", "expected a number in column prob"),
        ("probabilities", "id,prob\na,0.25\nb,inf\n", "found inf"),
    ],
)
def test_check_before_it_takes_its_name(tmp_path: Path, form: str, text: str, message: str | None) -> None:
    path = tmp_path / "submission.csv"
    path.write_text(text)
    ids = pa.array(["a", "b"], TEXT)
    if message is None:
        check_submission(path, FORMS[form], ids)
        return
    with pytest.raises(InputError) as error:
        check_submission(path, FORMS[form], ids)
    assert message in str(error.value)


@given(
    st.lists(
        st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")), unique=True, max_size=30
    ),
    st.sampled_from(sorted(FORMS)),
    st.randoms(use_true_random=False),
)
def test_whatever_the_ids_are_they_come_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], form: str, random: Random
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    ids = pa.array(names, TEXT)
    ids = ids.take(compute.sort_indices(ids))
    probs = np.array([random.random() for _ in names])
    answers = Answers(ids, (probs >= 0.5).astype(np.int64), probs, pa.array([], TEXT))
    write_submission(path, answers, FORMS[form])
    check_submission(path, FORMS[form], ids)
    with path.open(newline="", encoding="utf-8") as text:
        header, *rows = csv.reader(text)
    assert header == list(FORMS[form].columns)
    assert [row[0] for row in rows] == ids.to_pylist()
    expected = answers.probs if form == "probabilities" else answers.preds
    assert [float(row[1]) for row in rows] == expected.tolist()


def test_check_wants_each_id_once(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    path.write_text("id,preds\na,0\na,1\n")
    with pytest.raises(InputError, match="expected each id once, found a"):
        check_submission(path, FORMS["short"], pa.array(["a", "a"], TEXT))


def test_failed_check_leaves_the_submission_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_test_set(tmp_path)
    assert run(tmp_path) == 0
    before = (tmp_path / "out/submission.csv").read_bytes()

    def write_wrongly(path: Path, *arguments: object) -> None:
        path.write_text("id,preds\nobject_00000,1\n")

    monkeypatch.setattr("stronglens.submitting.submission.write_submission", write_wrongly)
    assert run(tmp_path) == 1
    assert "expected the columns" in capsys.readouterr().err
    assert (tmp_path / "out/submission.csv").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["submission.csv", "submission.json"]
