"""Estimates of lens parameters after prediction: ensembles, submissions, their errors."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import check_submission
import ensemble
import evaluate_lens_parameters
import plot_lens_parameters
import submission
import threshold
from drawn_figures import is_picture
from lens_files import describe, write_parameters
from made_predictions import cutouts_of, write_packed_tables, write_prediction
from stronglens.formats.artefact import sha256_of, write_json
from stronglens.scoring import bootstrap
from stronglens.scoring.lens_errors import read_estimates
from stronglens.scoring.lens_plots import plot_estimates

BUCKETS = ("slsim_lenses", "slsim_nonlenses", "hsc_lenses", "hsc_nonlenses")
LABELLED = [f"{bucket}/D_{number:08d}" for bucket in BUCKETS for number in range(6)]
BLIND = [f"object_{number:05d}" for number in range(9)]
STACKED = {"Rein": lambda key: 1.0 + 0.1 * int(key[-1]), "vel disp": lambda key: 200.0 + int(key[-1])}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.resamples, "__defaults__", (None, 100, 0))


def prob_of(key: str, _: str) -> float:
    lens = "_lenses" in key or (key in BLIND and int(key[-1]) % 2)
    return (0.6 if lens else 0.3) + 0.01 * int(key[-1])


def add(folder: Path, which: str, estimates: dict[str, Callable[[str], float]]) -> Path:
    """Give predictions that are there columns of estimates."""
    table = pd.read_csv(folder / f"pred_{which}.csv")
    places = {band: place for place, band in enumerate("grizy")}
    for name, estimate in estimates.items():
        # Bands differ, and their mean is the estimate of the object.
        off = [0.01 * (places.get(band, 2) - 2) for band in table["band"]]
        table[name] = [estimate(key) for key in table["object"]] + np.array(off)
    table.to_csv(folder / f"pred_{which}.csv", index=False)
    stated = json.loads((folder / f"pred_{which}.json").read_text())
    stated["sha256"] = {f"pred_{which}.csv": sha256_of(folder / f"pred_{which}.csv")}
    if estimates:
        stated["lens_parameters"] = list(estimates)
    write_json(folder / f"pred_{which}.json", stated)
    return folder


MEMBERS: dict[int, tuple[bool, dict[str, Callable[[str], float]]]] = {
    1: (True, STACKED),
    2: (False, {"Rein": lambda key: 1.4 + 0.1 * int(key[-1])}),
    3: (False, {}),
}
"""By seed: whether bands are stacked, and what is estimated."""


def write_members(root: Path, name: str, packed: Path, which: str, **stated: Any) -> list[str]:
    return [
        str(
            add(
                write_prediction(
                    root / f"{name}/seed_{seed}",
                    packed,
                    prob_of,
                    which=which,
                    seed=seed,
                    stacked=stacked,
                    **stated,
                ),
                which,
                estimates,
            )
        )
        for seed, (stacked, estimates) in MEMBERS.items()
    ]


def combine(predictions: list[str], packed: list[Path], out: Path, *options: str) -> int:
    given = [f"--predictions={folder}" for folder in predictions]
    return ensemble.main([*given, *[f"--packed={one}" for one in packed], f"--out-dir={out}", *options])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A validation ensemble and one of a test set in two parts."""
    root = tmp_path_factory.mktemp("run")
    labelled = write_packed_tables(root / "labelled", cutouts_of(LABELLED))
    index = pd.read_parquet(labelled / "index.parquet")
    pairs = list(zip(index["object"], index["band"], strict=True))
    (labelled / "cutouts.npy").write_bytes(repr(pairs).encode())
    val = write_members(root, "val", labelled, "val")
    assert combine(val, [labelled], root / "ens/val", "--which=val") == 0
    assert threshold.main([f"--ensemble-csv={root}/ens/val/val_ens.csv", f"--out-dir={root}/ens/val"]) == 0
    made = f"--threshold={root}/ens/val/threshold.txt", f"--validation={root}/ens/val/val_ens.json"
    tests, parts = [], []
    for part in (0, 1):
        parts.append(
            write_packed_tables(
                root / f"blind/part_{part}",
                cutouts_of(BLIND[part::2]),
                labelled=False,
                rejected=[("/data/x_g.fits", "x")][part:],
            )
        )
        tests += write_members(root, f"test_{part}", parts[-1], "test")
    assert combine(tests, parts, root / "ens/test", "--which=test", *made) == 0
    whole = write_packed_tables(root / "whole", cutouts_of(BLIND), labelled=False)
    at_once = write_members(root, "whole_test", whole, "test")
    assert combine(at_once, [whole], root / "ens/whole", "--which=test", *made) == 0
    return root


def test_bands_then_members_that_give_an_estimate(run: Path) -> None:
    table = pd.read_csv(run / "ens/val/val_ens.csv")
    estimated = ["Rein", "Rein_std", "vel disp", "vel disp_std"]
    assert list(table)[9:] == estimated
    test = pd.read_csv(run / "ens/test/test_ens.csv")
    assert list(test)[9:] == ["pred", *estimated]
    for one in (table, test):
        number = one["object"].str[-1].astype(int)
        assert np.allclose(one["Rein"], 1.2 + 0.1 * number)
        assert np.allclose(one["Rein_std"], np.std([1.0, 1.4], ddof=1))
        assert np.allclose(one["vel disp"], 200 + number)  # of the one member that gives it
        assert (one["vel disp_std"] == 0).all()
        assert (one["n_members"] == 3).all()
    for name in ("val/val_ens", "test/test_ens"):
        described = json.loads((run / f"ens/{name}.json").read_text())
        assert described["lens_parameters"] == {"Rein": 2, "vel disp": 1}


def test_parts_mean_nothing(run: Path) -> None:
    assert (run / "ens/test/test_ens.csv").read_bytes() == (run / "ens/whole/test_ens.csv").read_bytes()


def test_probabilities_are_those_of_members_without(run: Path, tmp_path: Path) -> None:
    plain = [
        str(
            write_prediction(
                tmp_path / str(seed), run / "labelled", prob_of, seed=seed, stacked=MEMBERS[seed][0]
            )
        )
        for seed in MEMBERS
    ]
    assert combine(plain, [run / "labelled"], tmp_path / "out", "--which=val") == 0
    without = pd.read_csv(tmp_path / "out/val_ens.csv")
    pd.testing.assert_frame_equal(pd.read_csv(run / "ens/val/val_ens.csv")[list(without)], without)
    assert "lens_parameters" not in (tmp_path / "out/val_ens.json").read_text()


def test_what_is_fitted_and_chosen_takes_its_estimates_along(run: Path, tmp_path: Path) -> None:
    members = [str(run / f"val/seed_{seed}") for seed in MEMBERS]
    settings = {"calibration": "isotonic", "validation_domains": ["hsc"]}
    options = "--which=val", f"--settings={json.dumps(settings)}"
    assert combine(members, [run / "labelled"], tmp_path, *options) == 0
    table = pd.read_csv(tmp_path / "val_ens.csv")
    assert len(table) == 12
    assert np.allclose(table["Rein"], 1.2 + 0.1 * table["object"].str[-1].astype(int))


def test_files_have_their_own_estimates(run: Path, tmp_path: Path) -> None:
    members = [str(run / f"val/seed_{seed}") for seed in (2, 3)]
    assert combine(members, [run / "labelled"], tmp_path, "--which=val", "--level=file") == 0
    table = pd.read_csv(tmp_path / "val_ens.csv")
    assert len(table) == 5 * len(LABELLED)
    off = table["path"].str[-6].map({band: 0.01 * (place - 2) for place, band in enumerate("grizy")})
    assert np.allclose(table["Rein"], 1.4 + 0.1 * table["object"].str[-1].astype(int) + off)


def test_an_estimate_that_is_not_finite_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_prediction(tmp_path / "a", run / "labelled", prob_of)
    add(folder, "val", {"Rein": lambda key: np.inf})
    assert combine([str(folder)], [run / "labelled"], tmp_path / "out", "--which=val") == 1
    assert "line 2: expected a finite number in column Rein, found inf" in capsys.readouterr().err


def submit(run: Path, out: Path, **settings: Any) -> int:
    given = json.dumps({"ensemble": "e", "lens_parameters": True} | settings)
    options = [f"--ensemble-csv={run}/ens/test/test_ens.csv", f"--packed={run}/blind", "--parts=2"]
    options += [f"--out={out}/submission.csv", f"--provenance={out}/submission.json"]
    options += [f"--validation={run}/ens/val", f"--labelled={run}/labelled"]
    options += [f"--val-predictions={run}/val/seed_{seed}" for seed in MEMBERS]
    return submission.main([*options, '--threshold={"method": "youden"}', "--settings", given])


@pytest.mark.parametrize(
    ("form", "columns", "filler"),
    [("full", ["Rein", "vel disp"], "-99"), ("template", ["Rein", "vel disp", "vel_disp"], "-999")],
)
def test_what_is_called_a_lens_has_values_and_all_else_the_filler(
    run: Path, tmp_path: Path, form: str, columns: list[str], filler: str
) -> None:
    assert submit(run, tmp_path, form=form, unreadable_pred=1) == 0
    table = pd.read_csv(tmp_path / "submission.csv", dtype=str).set_index("id")
    estimates = pd.read_csv(run / "ens/test/test_ens.csv").set_index("object")
    assert set(estimates["pred"]) == {0, 1}
    for key, row in table.iterrows():
        given = key in estimates.index and estimates.loc[key, "pred"] == 1
        for column in columns:
            value = estimates.loc[key, column.replace("_", " ")] if given else None
            assert row[column] == filler if value is None else float(row[column]) == round(value, 6)
    assert table.loc["x", "preds"] == "1"  # an answer without a picture
    assert (table.drop(columns=["preds", *columns]) == filler).all(axis=None)
    record = json.loads((tmp_path / "submission.json").read_text())
    assert record["lens_parameters"] == {
        "Rein": {"n_members": 2, "n_objects": 4},
        "vel disp": {"n_members": 1, "n_objects": 4},
    }
    assert record["settings"]["submission"]["lens_parameters"] is True


def test_off_is_the_submission_without(run: Path, tmp_path: Path) -> None:
    assert submit(run, tmp_path / "on") == submit(run, tmp_path / "off", lens_parameters=False) == 0
    on, off = (pd.read_csv(tmp_path / name / "submission.csv") for name in ("on", "off"))
    pd.testing.assert_series_equal(on["preds"], off["preds"])
    assert (off.drop(columns=["id", "preds"]) == -99).all(axis=None)
    assert "lens_parameters" not in json.loads((tmp_path / "off/submission.json").read_text())["settings"]


def test_a_form_without_columns_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit(run, tmp_path, form="short") == 1
    assert "the form has no columns for them" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def check(folder: Path) -> int:
    named = f"--submission={folder}/submission.csv", f"--record={folder}/submission.json"
    return check_submission.main([*named, "--root=/"])


def test_the_check_finds_what_was_changed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = [f"{run}/test_{part}/seed_{seed}" for part in (0, 1) for seed in MEMBERS]
    assert submit(run, tmp_path) == 0
    record = json.loads((tmp_path / "submission.json").read_text())
    record["folders"]["test_predictions"] = tests
    record["files"] = {path: digest for path, digest in record["files"].items() if Path(path).is_file()}
    write_json(tmp_path / "submission.json", record)
    capsys.readouterr()
    assert check(tmp_path) == 0
    assert "come out the same when computed again" in capsys.readouterr().err
    path = tmp_path / "submission.csv"
    rows = list(csv.reader(path.read_text().splitlines()))
    place = rows[0].index("Rein")
    no_lens = next(row for row in rows if row[1] == "0")
    no_lens[place] = "1.25"
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    assert check(tmp_path) == 1
    assert "expected -99 in column Rein for what is called no lens" in capsys.readouterr().err


def draw_lenses(run: Path, folder: Path) -> int:
    errors = f"--errors={folder}/out/lens_parameters.json"
    packed = f"--packed={run}/labelled"
    return plot_lens_parameters.main(
        [f"--csv={run}/ens/val/val_ens.csv", packed, errors, f"--out={folder}/lenses.png"]
    )


def test_lenses_are_compared_with_what_is_known_of_them(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lenses = [key for key in LABELLED if "_lenses" in key]
    rein = [1.2 + 0.1 * int(key[-1]) + (0.3 if key.startswith("hsc") else 0.1) for key in lenses]
    rein[0] = np.nan
    others = [key for key in LABELLED if "_nonlenses" in key]
    table = pd.DataFrame({"object": lenses + others, "Rein": rein + [50.0] * len(others)})
    write_parameters(run / "labelled", table.assign(bucket=table["object"].str.split("/").str[0]))
    describe(run / "labelled", "parameters.parquet")
    (tmp_path / "t.txt").write_text("0.63\n")
    ensemble_csv = run / "ens/val/val_ens.csv"
    options = [f"--csv={ensemble_csv}", f"--packed={run}/labelled", f"--threshold-file={tmp_path}/t.txt"]
    assert evaluate_lens_parameters.main([*options, f"--out-dir={tmp_path}/out"]) == 0
    found = json.loads((tmp_path / "out/lens_parameters.json").read_text())
    assert found.pop("format") == 1
    assert {name: block["Rein"]["n"] for name, block in found.items()} == {
        "global": 11,
        "domain::hsc": 6,
        "domain::slsim": 5,
        "found": 6,  # those of number 3 and more, of both domains
    }
    assert found["domain::hsc"]["Rein"]["bias"] == pytest.approx(-0.3)
    assert found["domain::slsim"]["Rein"]["bias"] == pytest.approx(-0.1)
    assert found["global"]["vel disp"]["n"] == 0  # the file has no such column
    assert "vel disp: known of no lens here" in capsys.readouterr().err
    rows = pd.read_csv(tmp_path / "out/lens_parameters.csv").set_index(["objects", "parameter"])
    assert rows.loc[("domain::hsc", "Rein"), "bias"] == pytest.approx(-0.3)
    assert rows.loc[("global", "Rein"), "unit"] == "arcsec"
    assert np.isfinite(rows.loc[("global", "Rein"), "rms_high"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("lens_parameters.json", "lens_parameters.csv"),
    }
    assert draw_lenses(run, tmp_path) == 0
    assert is_picture(tmp_path / "lenses.png")
    errors = tmp_path / "out/lens_parameters.json"
    write_json(errors, {"global": {"Rein": found["global"]["Rein"]}})
    assert draw_lenses(run, tmp_path) == 1
    assert "expected errors of Rein, vel disp; found none of vel disp" in capsys.readouterr().err
    estimates = read_estimates(ensemble_csv, [run / "labelled"])
    panels = plot_estimates(estimates, found["global"]).axes
    assert [axes.get_ylabel() for axes in panels] == ["estimated Rein (arcsec)", "estimated vel disp (km/s)"]
    # the points of two domains, and the diagonal and the mean
    assert [len(line.get_xdata()) for line in panels[0].lines] == [6, 5, 2, 2]


def test_an_ensemble_without_estimates_has_no_errors(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert combine([str(run / "val/seed_3")], [run / "labelled"], tmp_path, "--which=val") == 0
    options = [f"--csv={tmp_path}/val_ens.csv", f"--packed={run}/labelled", f"--out-dir={tmp_path}/out"]
    options.append(f"--threshold-file={run}/ens/val/threshold.txt")
    assert evaluate_lens_parameters.main(options) == 1
    assert "expected estimates of lens parameters, found none" in capsys.readouterr().err


# Uncertainties

WIDE_LENSES = [f"{domain}_lenses/D_{number:08d}" for domain in ("slsim", "hsc") for number in range(15)]
WIDE = [*WIDE_LENSES, *(key.replace("_lenses", "_nonlenses") for key in WIDE_LENSES)]
WIDE_MEMBERS = (1, 2)


def give_widths(folder: Path, which: str, seed: int) -> Path:
    """Give predictions that are there estimates of `Rein` with widths: numbers from the seed."""
    path = folder / f"pred_{which}.csv"
    table = pd.read_csv(path)
    rng = np.random.default_rng(seed)
    table["Rein"] = 1.5 + rng.normal(0, 0.2, len(table))
    table["Rein_std"] = rng.uniform(0.05, 0.3, len(table))
    table.to_csv(path, index=False)
    stated = json.loads((folder / f"pred_{which}.json").read_text())
    stated |= {"lens_parameters": ["Rein"], "uncertainties": True, "sha256": {path.name: sha256_of(path)}}
    write_json(folder / f"pred_{which}.json", stated)
    return folder


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ensembles of two members with widths, one of stacks and one of single bands."""
    root = tmp_path_factory.mktemp("wide")
    labelled = write_packed_tables(root / "labelled", cutouts_of(WIDE))
    truth = np.random.default_rng(0).uniform(1.0, 2.0, len(WIDE_LENSES))
    known = pd.DataFrame({"object": WIDE_LENSES, "bucket": "slsim_lenses", "Rein": truth})
    write_parameters(labelled, known)
    blind = write_packed_tables(root / "blind", cutouts_of(BLIND), labelled=False)
    for which, packed in (("val", labelled), ("test", blind)):
        for seed in WIDE_MEMBERS:
            folder = root / f"{which}/seed_{seed}"
            stacked = seed == 1
            write_prediction(folder, packed, prob_of, which=which, seed=seed, stacked=stacked)
            give_widths(folder, which, seed)
    val = [str(root / f"val/seed_{seed}") for seed in WIDE_MEMBERS]
    assert combine(val, [labelled], root / "ens/val", "--which=val") == 0
    assert threshold.main([f"--ensemble-csv={root}/ens/val/val_ens.csv", f"--out-dir={root}/ens/val"]) == 0
    assert combine_test(root, root / "ens/test", f"--validation={root}/ens/val/val_ens.json") == 0
    return root


def combine_test(wide: Path, out: Path, *options: str) -> int:
    tests = [str(wide / f"test/seed_{seed}") for seed in WIDE_MEMBERS]
    chosen = "--which=test", f"--threshold={wide}/ens/val/threshold.txt"
    return combine(tests, [wide / "blind"], out, *chosen, *options)


def mixed(wide: Path, which: str) -> pd.DataFrame:
    """Mean and width of the mixture of each object, by hand: its cutouts, then the members."""
    of_members = []
    for seed in WIDE_MEMBERS:
        rows = pd.read_csv(wide / f"{which}/seed_{seed}/pred_{which}.csv")
        rows["second"] = rows["Rein_std"] ** 2 + rows["Rein"] ** 2
        of_members.append(rows.groupby("object")[["Rein", "second"]].mean())
    together = sum(of_members[1:], of_members[0]) / len(of_members)
    return together.assign(std=np.sqrt(together["second"] - together["Rein"] ** 2))


def test_widths_are_those_of_the_mixture_times_the_factor_of_validation(wide: Path) -> None:
    val, test = (json.loads((wide / f"ens/{name}_ens.json").read_text()) for name in ("val/val", "test/test"))
    assert val["width_factors"] == test["width_factors"]
    (factor,) = val["width_factors"].values()
    expected = mixed(wide, "val")
    truth = pd.read_parquet(wide / "labelled/parameters.parquet").set_index("object")["Rein"]
    pulls = ((expected["Rein"] - truth).abs() / expected["std"]).dropna().sort_values()
    assert len(pulls) == 30
    assert factor == pytest.approx(pulls.iloc[21])  # the ceil(0.6827 * 31) = 22nd smallest
    for which, name in (("val", "val/val_ens"), ("test", "test/test_ens")):
        table = pd.read_csv(wide / f"ens/{name}.csv").set_index("object")
        assert list(table)[-2:] == ["Rein", "Rein_std"]
        of_objects = mixed(wide, which).loc[table.index]
        assert np.allclose(table["Rein"], of_objects["Rein"])
        assert np.allclose(table["Rein_std"], factor * of_objects["std"])


def test_what_else_is_fitted_leaves_widths_alone(wide: Path, tmp_path: Path) -> None:
    val = [str(wide / f"val/seed_{seed}") for seed in WIDE_MEMBERS]
    fitted = json.dumps({"calibration": "temperature"})
    assert combine(val, [wide / "labelled"], tmp_path, "--which=val", f"--settings={fitted}") == 0
    one, other = (pd.read_csv(folder / "val_ens.csv") for folder in (tmp_path, wide / "ens/val"))
    pd.testing.assert_series_equal(one["Rein_std"], other["Rein_std"])
    some = json.dumps({"validation_domains": ["hsc"]})
    assert combine(val, [wide / "labelled"], tmp_path / "hsc", "--which=val", f"--settings={some}") == 0
    assert json.loads((tmp_path / "hsc/val_ens.json").read_text())["width_factors"] == {"Rein": 1.0}


def test_a_test_set_needs_the_factors(wide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert combine_test(wide, tmp_path) == 1
    assert "val_ens.json, which holds the factors of the widths of lens parameters" in capsys.readouterr().err
    stated = json.loads((wide / "ens/val/val_ens.json").read_text())
    write_json(tmp_path / "val_ens.json", stated | {"width_factors": {}})
    assert combine_test(wide, tmp_path, f"--validation={tmp_path}/val_ens.json") == 1
    assert "expected width_factors of Rein, found those of none" in capsys.readouterr().err


def test_members_without_widths_are_refused_beside_those_with(
    wide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = write_prediction(tmp_path / "plain", wide / "labelled", prob_of, model="old", seed=3)
    silent = write_prediction(tmp_path / "silent", wide / "labelled", prob_of, model="silent", seed=4)
    packed, with_widths = [wide / "labelled"], str(wide / "val/seed_1")
    assert combine([with_widths, str(silent)], packed, tmp_path / "out", "--which=val") == 0
    table = pd.read_csv(tmp_path / "out/val_ens.csv")
    assert list(table)[-2:] == ["Rein", "Rein_std"]
    add(plain, "val", {"Rein": lambda key: 1.0})
    capsys.readouterr()
    assert combine([with_widths, str(plain)], packed, tmp_path / "mixed", "--which=val") == 1
    said = capsys.readouterr().err
    assert f"{plain}/pred_val.json: expected old seed 3 to give uncertainties of lens parameters" in said
    assert f"as nano seed 1 in {with_widths}/pred_val.json, found none" in said
    assert not (tmp_path / "mixed").exists()


def test_a_width_of_0_is_refused(wide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_prediction(tmp_path / "a", wide / "labelled", prob_of)
    give_widths(folder, "val", 1)
    table = pd.read_csv(folder / "pred_val.csv")
    table.loc[3, "Rein_std"] = 0.0
    table.to_csv(folder / "pred_val.csv", index=False)
    stated = json.loads((folder / "pred_val.json").read_text())
    write_json(
        folder / "pred_val.json", stated | {"sha256": {"pred_val.csv": sha256_of(folder / "pred_val.csv")}}
    )
    assert combine([str(folder)], [wide / "labelled"], tmp_path / "out", "--which=val") == 1
    said = capsys.readouterr().err
    assert "line 5: expected a standard deviation above 0 in column Rein_std, found 0.0" in said


def test_the_coverage_is_scored(wide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv_path, packed = f"--csv={wide}/ens/val/val_ens.csv", f"--packed={wide}/labelled"
    options = [csv_path, packed, f"--threshold-file={wide}/ens/val/threshold.txt"]
    assert evaluate_lens_parameters.main([*options, f"--out-dir={tmp_path}"]) == 0
    found = json.loads((tmp_path / "lens_parameters.json").read_text())["global"]["Rein"]
    assert found["n"] == 30
    # What was fitted; one is at the edge, where the last bit decides.
    assert found["coverage_68"] == pytest.approx(21.5 / 30, abs=0.6 / 30)
    assert found["coverage_68"] <= found["coverage_95"] <= 1
    assert "% within one standard deviation, " in capsys.readouterr().err
    rows = pd.read_csv(tmp_path / "lens_parameters.csv")
    assert list(rows)[-3:] == ["rms_pull", "rms_pull_low", "rms_pull_high"]
    assert rows["coverage_95"].notna().any()
    errors = f"--errors={tmp_path}/lens_parameters.json"
    assert plot_lens_parameters.main([csv_path, packed, errors, f"--out={tmp_path}/lenses.png"]) == 0
    assert is_picture(tmp_path / "lenses.png")


def test_a_submission_has_the_estimates_and_is_made_again_from_the_truth_it_names(
    wide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = json.dumps({"ensemble": "e", "lens_parameters": True})
    options = [f"--ensemble-csv={wide}/ens/test/test_ens.csv", f"--packed={wide}/blind"]
    options += [f"--out={tmp_path}/submission.csv", f"--provenance={tmp_path}/submission.json"]
    options += [f"--validation={wide}/ens/val", f"--labelled={wide}/labelled"]
    options += [f"--val-predictions={wide}/val/seed_{seed}" for seed in WIDE_MEMBERS]
    options += [f"--test-predictions={wide}/test/seed_{seed}" for seed in WIDE_MEMBERS]
    assert submission.main([*options, '--threshold={"method": "youden"}', "--settings", given]) == 0
    table = pd.read_csv(tmp_path / "submission.csv").set_index("id")
    estimates = pd.read_csv(wide / "ens/test/test_ens.csv").set_index("object")
    lenses = table.index[table["preds"] == 1]
    assert len(lenses)
    assert np.allclose(table.loc[lenses, "Rein"], estimates.loc[lenses, "Rein"], atol=1e-6)
    assert not [name for name in table if name.endswith("_std")]
    record = json.loads((tmp_path / "submission.json").read_text())
    assert record["files"][f"{wide}/labelled/parameters.parquet"] == sha256_of(
        wide / "labelled/parameters.parquet"
    )
    record["files"] = {path: digest for path, digest in record["files"].items() if Path(path).is_file()}
    write_json(tmp_path / "submission.json", record)
    capsys.readouterr()
    assert check(tmp_path) == 0
    assert "come out the same when computed again" in capsys.readouterr().err
