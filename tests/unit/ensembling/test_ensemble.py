import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ensemble
from made_predictions import cutouts_of, replace_csv, write_packed_tables, write_prediction
from stronglens.ensembling import merge
from stronglens.formats.artefact import sha256_of
from stronglens.formats.threshold_file import write_threshold

LENS, OTHER = "slsim_lenses/D1_L_00000000", "hsc_nonlenses/D2_N_00000000"
BLIND = [f"object_{number:05d}" for number in range(40)]
COLUMNS = ["object", "path", "bucket", "domain", "label", "prob", "prob_std", "n_members", "n_cutouts"]


def some_prob(seed: int) -> Callable[[str, str], float]:
    """Digits that look random, the same for the same member, object and band."""
    return lambda key, band: np.random.default_rng([seed, *key.encode(), *band.encode()]).random()


def run(folder: Path, predictions: list[Path], packed: list[Path], *options: str) -> int:
    return ensemble.main(
        [
            *[f"--predictions={one}" for one in predictions],
            *[f"--packed={one}" for one in packed],
            f"--out-dir={folder}/out",
            *options,
        ]
    )


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: Any, code: int = 1) -> str:
    """The message of a run that must fail and leave nothing."""
    assert run(folder, *arguments) == code
    assert not list(folder.glob("out/*"))
    return capsys.readouterr().err


def read(csv: Path) -> pd.DataFrame:
    table = pd.read_csv(csv, dtype=str, keep_default_na=False)
    numbers = {
        "prob": float,
        "prob_std": float,
        "label": int,
        "pred": int,
        "n_members": int,
        "n_cutouts": int,
    }
    return table.astype({name: kind for name, kind in numbers.items() if name in table})


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A lens with five bands and another object without its i band."""
    cutouts = [cutout for cutout in cutouts_of([LENS, OTHER]) if cutout != (OTHER, "i")]
    return write_packed_tables(tmp_path / "packed", cutouts)


def threshold_option(tmp_path: Path, value: float) -> str:
    write_threshold(tmp_path / "t.txt", value)
    return f"--threshold={tmp_path / 't.txt'}"


def test_bands_first_then_members(tmp_path: Path, packed: Path) -> None:
    each = {(LENS, band): 0.1 * place for place, band in enumerate("grizy", 1)}
    each |= {(OTHER, band): prob for band, prob in zip("grzy", (0.0, 0.2, 0.4, 1.0), strict=True)}
    predictions = [
        write_prediction(tmp_path / "a", packed, lambda key, band: each[key, band]),
        write_prediction(tmp_path / "b", packed, lambda key, band: 0.9, model="stack", stacked=True),
    ]
    assert run(tmp_path, predictions, [packed]) == 0
    table = read(tmp_path / "out/val_ens.csv")
    assert list(table) == COLUMNS
    assert table["object"].tolist() == [OTHER, LENS]  # in order of the key
    assert table["path"].tolist() == [f"/data/{key}_g.fits" for key in (OTHER, LENS)]
    assert table["bucket"].tolist() == ["hsc_nonlenses", "slsim_lenses"]
    assert table["domain"].tolist() == ["hsc", "slsim"]
    assert table["label"].tolist() == [0, 1]
    # A stack weighs as much as five cutouts, a missing band weighs nothing.
    assert table["prob"].tolist() == pytest.approx([(0.4 + 0.9) / 2, (0.3 + 0.9) / 2])
    assert table["prob_std"].tolist() == pytest.approx(
        [np.std([0.4, 0.9], ddof=1), np.std([0.3, 0.9], ddof=1)]
    )
    assert table["n_members"].tolist() == [2, 2]
    assert table["n_cutouts"].tolist() == [4, 5]


def test_one_member_has_no_spread(tmp_path: Path, packed: Path) -> None:
    assert run(tmp_path, [write_prediction(tmp_path / "a", packed, some_prob(1))], [packed]) == 0
    assert read(tmp_path / "out/val_ens.csv")["prob_std"].tolist() == [0, 0]


def test_description(tmp_path: Path, packed: Path) -> None:
    predictions = [
        write_prediction(tmp_path / str(seed), packed, some_prob(seed), seed=seed) for seed in (303, 42)
    ]
    options = ("--which=test", "--labelled", threshold_option(tmp_path, 0.25))
    for folder in predictions:
        for name in ("pred_val.json", "pred_val.csv"):
            text = (folder / name).read_text().replace("pred_val", "pred_test").replace('"val"', '"test"')
            (folder / name.replace("val", "test")).write_text(text)
    assert run(tmp_path, predictions, [packed], *options) == 0
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["test_ens.json", "test_ens_labeled.csv"]
    found = json.loads((out / "test_ens.json").read_text())
    assert [(member["model"], member["seed"]) for member in found.pop("members")] == [
        ("nano", 42),
        ("nano", 303),
    ]
    assert found == {
        "format": 1,
        "level": "object",
        "n_rows": 2,
        "threshold": 0.25,
        "sha256": {"test_ens_labeled.csv": sha256_of(out / "test_ens_labeled.csv")},
    }


def test_order_on_the_command_line_means_nothing(tmp_path: Path, packed: Path) -> None:
    predictions = [
        write_prediction(tmp_path / str(seed), packed, some_prob(seed), seed=seed) for seed in range(5)
    ]
    contents = []
    for order in (predictions, predictions[::-1]):
        assert run(tmp_path, order, [packed]) == 0
        contents.append(
            (tmp_path / "out/val_ens.csv").read_bytes() + (tmp_path / "out/val_ens.json").read_bytes()
        )
    assert contents[0] == contents[1]


@pytest.mark.parametrize("level", ["object", "file"])
def test_number_of_parts_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    """Parts of any size, among them empty ones and ones larger than what is held in memory."""
    monkeypatch.setattr(merge, "BATCH_ROWS", 3)
    monkeypatch.setattr(merge, "ROWS_IN_MEMORY", 12)
    contents = []
    for n_parts in (1, 3, 7):
        folder = tmp_path / str(n_parts)
        for part in range(n_parts):
            # The second and third parts of seven are empty.
            of_part = [
                key
                for key in BLIND
                if hash_of(key) % n_parts == part and not (n_parts == 7 and part in (1, 2))
            ]
            if n_parts == 7 and part == 0:
                of_part += [key for key in BLIND if hash_of(key) % 7 in (1, 2)]
            packed = write_packed_tables(
                folder / f"packed/part_{part}", cutouts_of(sorted(of_part)), labelled=False
            )
            for seed in (1, 2, 3):
                write_prediction(
                    folder / f"pred/{seed}/part_{part}", packed, some_prob(seed), which="test", seed=seed
                )
        options = (f"--parts={n_parts}", "--which=test", f"--level={level}", threshold_option(tmp_path, 0.5))
        assert (
            run(folder, [folder / f"pred/{seed}" for seed in (1, 2, 3)], [folder / "packed"], *options) == 0
        )
        assert sorted(path.name for path in (folder / "out").iterdir()) == ["test_ens.csv", "test_ens.json"]
        contents.append([path.read_bytes() for path in sorted((folder / "out").iterdir())])
    assert contents[0] == contents[1] == contents[2]
    key = read(tmp_path / "1/out/test_ens.csv")["object" if level == "object" else "path"]
    assert key.is_monotonic_increasing
    assert len(key) == len(BLIND) * (1 if level == "object" else 5)


def hash_of(key: str) -> int:
    return int(key[-5:]) * 7919 // 11


def test_probabilities_come_back_exactly(tmp_path: Path) -> None:
    packed = write_packed_tables(tmp_path / "packed", cutouts_of(BLIND, "g"), labelled=False)
    predictions = [
        write_prediction(tmp_path / str(seed), packed, some_prob(seed), seed=seed, which="test")
        for seed in (1, 2)
    ]
    expected = {key: (some_prob(1)(key, "g") + some_prob(2)(key, "g")) / 2 for key in BLIND}
    t_star = expected[BLIND[7]]
    assert run(tmp_path, predictions, [packed], "--which=test", threshold_option(tmp_path, t_star)) == 0
    table = read(tmp_path / "out/test_ens.csv")
    assert dict(zip(table["object"], table["prob"], strict=True)) == expected
    # An object exactly at t* is a lens.
    assert table["pred"].tolist() == [int(expected[key] >= t_star) for key in BLIND]
    assert table["pred"][7] == 1


def test_level_file_averages_no_bands(tmp_path: Path, packed: Path) -> None:
    predictions = [
        write_prediction(tmp_path / str(seed), packed, some_prob(seed), seed=seed) for seed in (1, 2)
    ]
    assert run(tmp_path, predictions, [packed], "--level=file") == 0
    table = read(tmp_path / "out/val_ens.csv")
    assert len(table) == 9
    assert set(table["n_cutouts"]) == {1}
    row = table.set_index("path").loc[f"/data/{LENS}_z.fits"]
    assert row["object"] == LENS
    assert row["prob"] == pytest.approx((some_prob(1)(LENS, "z") + some_prob(2)(LENS, "z")) / 2)


def test_level_file_with_a_stack(tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = write_prediction(tmp_path / "a", packed, some_prob(1), model="five", stacked=True)
    message = refused(capsys, tmp_path, [stack], [packed], "--level=file")
    assert "stacks of bands grizy by five seed 42" in message


def test_any_text_in_a_path_survives(tmp_path: Path) -> None:
    packed = write_packed_tables(
        tmp_path / "packed", cutouts_of([LENS, OTHER], "g"), path_of=lambda key, band: f'/a, "b"/\n{key}.fits'
    )
    assert (
        run(tmp_path, [write_prediction(tmp_path / "a", packed, some_prob(1))], [packed], "--level=file") == 0
    )
    assert set(read(tmp_path / "out/val_ens.csv")["path"]) == {
        f'/a, "b"/\n{key}.fits' for key in (LENS, OTHER)
    }


def test_member_that_lacks_objects(tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions = [
        write_prediction(tmp_path / "a", packed, some_prob(1), seed=1),
        write_prediction(tmp_path / "b", packed, some_prob(2), seed=2, keep=lambda key: key == LENS),
    ]
    for order in (predictions, predictions[::-1]):
        message = refused(capsys, tmp_path, order, [packed])
        assert f"1 of nano seed 1 lack in nano seed 2: {OTHER}" in message


def test_member_that_lacks_a_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [
        write_packed_tables(tmp_path / f"part_{part}", cutouts_of(BLIND[part::2]), labelled=False)
        for part in (0, 1)
    ]
    predictions = [
        write_prediction(tmp_path / f"{seed}_{part}", parts[part], some_prob(seed), seed=seed, which="test")
        for seed, part in ((1, 0), (1, 1), (2, 0))
    ]
    message = refused(capsys, tmp_path, predictions, parts, "--which=test", threshold_option(tmp_path, 0.5))
    assert "part_1: expected predictions of every member, found none of nano seed 2" in message


def test_object_in_two_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [
        write_packed_tables(tmp_path / f"part_{part}", cutouts_of(keys), labelled=False)
        for part, keys in enumerate((BLIND[:5], BLIND[4:]))
    ]
    predictions = [
        write_prediction(tmp_path / f"a{part}", packed, some_prob(1), which="test")
        for part, packed in enumerate(parts)
    ]
    message = refused(capsys, tmp_path, predictions, parts, "--which=test", threshold_option(tmp_path, 0.5))
    assert f"{BLIND[4]}: expected every object in one part" in message


def test_same_predictions_twice(tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_prediction(tmp_path / "a", packed, some_prob(1))
    assert "once for each part" in refused(capsys, tmp_path, [one, one], [packed])


def test_same_data_twice(tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_prediction(tmp_path / "a", packed, some_prob(1))
    empty = write_packed_tables(tmp_path / "empty", [])
    assert "found one twice" in refused(capsys, tmp_path, [one], [packed, empty, packed])


def test_parts_with_the_same_pixels(tmp_path: Path) -> None:
    parts = [
        write_packed_tables(
            tmp_path / f"part_{part}", cutouts_of(BLIND[part : part + 1]), labelled=False, pixels="alike"
        )
        for part in range(3)
    ]
    predictions = [
        write_prediction(tmp_path / f"{seed}_{part}", packed, some_prob(seed), seed=seed, which="test")
        for seed in (1, 2)
        for part, packed in enumerate(parts)
    ]
    options = ("--which=test", threshold_option(tmp_path, 0.5))
    assert run(tmp_path, predictions[::-1], parts, *options) == 0
    table = read(tmp_path / "out/test_ens.csv")
    assert table["object"].tolist() == BLIND[:3]
    assert table["prob"].tolist() == pytest.approx(
        [np.mean([some_prob(seed)(key, band) for seed in (1, 2) for band in "grizy"]) for key in BLIND[:3]]
    )


def test_part_that_no_member_predicted(
    tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_prediction(tmp_path / "a", packed, some_prob(1))
    other = write_packed_tables(tmp_path / "other", cutouts_of([LENS], "g"))
    assert "other: expected predictions of every member" in refused(capsys, tmp_path, [one], [packed, other])


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"cutouts_sha256": "0" * 64}, "expected predictions from the cutouts of"),
        ({"index_sha256": "0" * 64}, "that of their index 000000000000"),
        ({"objects_sha256": "0" * 64}, "expected the same split"),
        ({"seed": 1, "weights_sha256": "0" * 64}, "expected nano seed 1 with the weights of"),
        ({"sha256": {"pred_val.csv": "0" * 64}}, "expected sha256 000000000000"),
        ({"sha256": {}}, "expected the sha256 of pred_val.csv, found none"),
        ({"n_samples": 3}, "expected 3 rows"),
        ({"n_samples": 0}, "found none of nano seed 2"),
    ],
)
def test_predictions_that_do_not_belong(
    tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str], stated: dict[str, Any], message: str
) -> None:
    predictions = [
        write_prediction(tmp_path / "a", packed, some_prob(1), seed=1),
        write_prediction(tmp_path / "b", packed, some_prob(2), **{"seed": 2} | stated),
    ]
    assert message in refused(capsys, tmp_path, predictions, [packed])


def test_predictions_of_another_split(
    tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_prediction(tmp_path / "a", packed, some_prob(1))
    description = one / "pred_val.json"
    description.write_text(description.read_text().replace('"val"', '"test"'))
    assert "expected predictions of val, found test" in refused(capsys, tmp_path, [one], [packed])


HEADER = "path,domain,label,prob,pred,object,band\n"
ROW = f"/data/{LENS}_g.fits,slsim,1,0.5,1,{LENS},g\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "pred_val.csv: expected a CSV file with a line of column names, found an empty one"),
        ("path,prob\n", "found none named object, band, label"),
        (HEADER + ROW + ROW.replace("_g", "_r"), "line 3: expected each object and band once"),
        (
            HEADER + ROW + ROW.replace("0.5", "nan").replace(",g", ",r"),
            "line 3: expected a number in column prob",
        ),
        (HEADER + ROW.replace("0.5", ""), "line 2: expected a number in column prob"),
        (
            HEADER + ROW.replace("0.5", "1.25"),
            "line 2: expected a probability from 0 to 1 in column prob, found 1.25",
        ),
        (HEADER + ROW.replace("0.5", "-inf"), "found -inf"),
        (HEADER + ROW.replace("0.5", "abc"), "found a malformed one"),
        (HEADER + ROW[:20] + "\n", "found a malformed one"),
        (HEADER + ROW.replace(",1,", ",0,", 1), f"{LENS}: expected label 1"),
        (HEADER + ROW.replace("_00000000,g", "_00000009,g"), "which it lacks"),
    ],
)
def test_malformed_table(
    tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    one = write_prediction(tmp_path / "a", packed, some_prob(1))
    replace_csv(one, text, n_samples=max(text.count("\n") - 1, 1))
    assert message in refused(capsys, tmp_path, [one], [packed])


def test_repeated_path_at_level_file(
    tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_prediction(tmp_path / "a", packed, some_prob(1))
    replace_csv(one, HEADER + ROW + ROW)
    assert "line 3: expected each path and band once" in refused(
        capsys, tmp_path, [one], [packed], "--level=file"
    )


def test_no_predictions_at_all(tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_prediction(tmp_path / "a", packed, some_prob(1), keep=lambda key: False)
    assert "expected predictions of every member, found none of nano" in refused(
        capsys, tmp_path, [one], [packed]
    )


def test_no_cutouts_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = write_packed_tables(tmp_path / "packed", [])
    one = write_prediction(tmp_path / "a", packed, some_prob(1))
    assert "found none in any of 1 tables" in refused(capsys, tmp_path, [one], [packed])


def test_missing_folder(tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, tmp_path, [tmp_path / "nowhere"], [packed])
    assert "nowhere/pred_val.json: expected a JSON file, found none" in message


def test_changed_index(tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_prediction(tmp_path / "a", packed, some_prob(1))
    (packed / "index.parquet").write_bytes(b"PAR1")
    assert "index.parquet: expected sha256" in refused(capsys, tmp_path, [one], [packed])


@pytest.mark.parametrize("text", [None, "", "half"])
def test_threshold_is_never_made_up(
    tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    one = write_prediction(tmp_path / "a", packed, some_prob(1), which="test")
    if text is not None:
        (tmp_path / "t.txt").write_text(text)
    message = refused(capsys, tmp_path, [one], [packed], "--which=test", f"--threshold={tmp_path}/t.txt")
    assert "t.txt: expected" in message


def test_options_must_agree(tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_prediction(tmp_path / "a", packed, some_prob(1))
    assert "--threshold FILE is needed" in refused(capsys, tmp_path, [one], [packed], "--which=test", code=2)
    assert "means nothing with --which val" in refused(
        capsys, tmp_path, [one], [packed], "--threshold=t", code=2
    )
    assert "--labelled is for" in refused(capsys, tmp_path, [one], [packed], "--labelled", code=2)


def test_labels_where_there_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = write_packed_tables(tmp_path / "packed", cutouts_of(BLIND), labelled=False)
    one = write_prediction(tmp_path / "a", packed, some_prob(1), which="test")
    options = ("--which=test", "--labelled", threshold_option(tmp_path, 0.5))
    assert "expected labelled data" in refused(capsys, tmp_path, [one], [packed], *options)
