"""The blind set against the training set: an honest one is not flagged, a spoilt one is."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import compare_data as step
import plot_drift
from drawn_figures import is_picture, keep_saved_figures, texts_of
from fits_files import BANDS, galaxy, primary_bytes, write_labelled, write_test_set
from stronglens.comparing.drift import STATISTICS, distance_outside
from stronglens.formats.artefact import sha256_of, write_json
from stronglens.formats.drift_files import read_compared
from stronglens.formats.packed import open_packed
from stronglens.inspecting import cutout_statistics as statistics
from stronglens.packing.pack import build_buckets
from stronglens.settings.data import BUCKETS, PackSettings, SplitSettings
from stronglens.splitting.split import split_objects

N_OBJECTS = 40

Images = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled set, packed and split, and scores of its validation objects."""
    folder = tmp_path_factory.mktemp("drift")
    places = write_labelled(folder / "data", N_OBJECTS)
    build_buckets(PackSettings(labelled=places), folder / "packed")
    split_objects(folder / "packed", folder / "splits", SplitSettings())
    generator = np.random.default_rng(0)
    scores = [
        (bucket, prob) for bucket in BUCKETS for prob in score(generator, bucket.endswith("_lenses"), 30)
    ]
    write_ensemble(folder / "val", "val", scores)
    return folder


def score(generator: np.random.Generator, lens: bool, n: int) -> npt.NDArray[np.float64]:
    return np.asarray(generator.beta(*((5, 2) if lens else (2, 5)), n))


def write_ensemble(folder: Path, which: str, scores: list[tuple[str, float]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / f"{which}_ens.csv"
    pd.DataFrame(scores, columns=["bucket", "prob"]).to_csv(table, index=False)
    write_json(
        folder / f"{which}_ens.json",
        {"members": [], "level": "object", "sha256": {table.name: sha256_of(table)}},
    )


def compared(labelled: Path, folder: Path, probs: npt.NDArray[np.float64] | None = None) -> dict[str, Any]:
    """Compare the blind set in `folder/blind`, of which a third are lenses."""
    build_buckets(PackSettings(dataset="blind", path=str(folder / "blind")), folder / "packed")
    if probs is None:
        generator = np.random.default_rng(1)
        probs = np.concatenate([score(generator, True, 20), score(generator, False, 40)])
    write_ensemble(folder / "test", "test", [("", prob) for prob in probs])
    options = [
        f"--labelled={labelled}/packed",
        f"--splits={labelled}/splits",
        f"--packed={folder}/packed",
        f"--val-csv={labelled}/val/val_ens.csv",
        f"--test-csv={folder}/test/test_ens.csv",
        f"--out-dir={folder}/out",
    ]
    assert step.main(options) == 0
    content: dict[str, Any] = json.loads((folder / "out/drift.json").read_text())
    return content


def write_blind(folder: Path, change: Callable[[Images], Images], seed: int = 5) -> None:
    """A blind set of which a third are lenses, each object's bands changed together."""
    generator = np.random.default_rng(seed)
    folder.mkdir()
    for number in range(60):
        images = change(galaxy(generator, lens=number % 3 == 0))
        for band, image in zip(BANDS, images, strict=True):
            (folder / f"object_{number:05d}_{band}.fits").write_bytes(primary_bytes(image))


def drawn(folder: Path) -> Path:
    """A picture of what was compared."""
    assert plot_drift.main([f"--drift={folder}/out/drift.json", f"--out={folder}/drift.png"]) == 0
    return folder / "drift.png"


def drifting(found: dict[str, Any]) -> set[str]:
    return {one["statistic"] for one in found["compared"] if one["drifts"]}


@pytest.mark.parametrize("seed", range(5, 9))
def test_an_honest_set_is_not_flagged(
    labelled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    write_blind(tmp_path / "blind", lambda images: images, seed)
    with caplog.at_level(logging.WARNING, "stronglens"):
        found = compared(labelled, tmp_path)
    assert drifting(found) == set()
    assert found["identical_cutouts"] == {"n_cutouts": 0, "splits": {}, "first": []}
    assert not caplog.messages
    assert len(found["compared"]) == 7 * 5 + 4 + 1


def test_the_picture(labelled: Path, tmp_path: Path) -> None:
    write_test_set(tmp_path / "blind", 8)
    compared(labelled, tmp_path)
    # What is drawn: tests/unit/reporting/test_figures.py.
    assert is_picture(drawn(tmp_path))


def test_what_is_drawn_is_what_was_compared(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_test_set(tmp_path / "blind", 8)
    found = compared(labelled, tmp_path)
    path = tmp_path / "out/drift.json"
    read = read_compared(path)
    assert [one.in_short.model_dump() for one in read] == found["compared"]
    sky = next(one for one in read if (one.statistic, one.band) == ("sky", "r"))
    packed = open_packed(tmp_path / "packed")
    cutouts = packed.cutouts[np.flatnonzero(packed.index["band"] == "r")]
    assert sky.blind.tolist() == statistics.frame_sky(cutouts).tolist()
    assert list(sky.training) == list(BUCKETS)
    del found["sha256"]
    write_json(path, found)
    assert plot_drift.main([f"--drift={path}", f"--out={tmp_path}/drift.png"]) == 1
    assert "drift.json: expected the sha256 of drift_values.parquet" in capsys.readouterr().err
    assert not (tmp_path / "drift.png").exists()


def turned(images: Images) -> Images:
    """Each band turned by another angle, what is left of the square filled: as in the first release."""
    generator = np.random.default_rng(int(abs(images[0, 0, 0]) * 1e6))
    return np.stack(
        [
            ndimage.rotate(image, angle, reshape=False, order=1, cval=0.0)
            for image, angle in zip(images, generator.uniform(15, 75, len(images)), strict=True)
        ]
    )


def test_bands_turned_against_each_other_are_flagged(
    labelled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_blind(tmp_path / "blind", turned)
    with caplog.at_level(logging.WARNING, "stronglens"):
        found = compared(labelled, tmp_path)
    assert {"constant_corners", "noise_correlation"} <= drifting(found)
    assert "constant_corners in band g: 100 % of the blind set are not like any mixture" in caplog.text
    corners = next(one for one in found["compared"] if one["statistic"] == "constant_corners")
    assert corners["blind"] == [4, 4, 4]
    assert corners["training"]["hsc_lenses"] == [0, 0, 0]
    saved = keep_saved_figures(monkeypatch)
    assert is_picture(drawn(tmp_path))
    assert any(text.startswith("g: 1.00 outside") for text in texts_of(saved["drift"]))
    assert "constant corners\n(of four)" in texts_of(saved["drift"])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("noise", lambda images: images + np.random.default_rng(2).normal(0, 2, images.shape)),
        ("sky", lambda images: images + 3),
        ("size", lambda images: np.stack([ndimage.gaussian_filter(image, 4) for image in images])),
        ("peak", lambda images: images * np.array([1, 1, 1, 4, 1])[:, None, None]),
        ("band_correlation", lambda images: np.stack([np.roll(a, 8 * n, 0) for n, a in enumerate(images)])),
    ],
)
def test_what_differs_is_named(
    labelled: Path, tmp_path: Path, name: str, change: Callable[[Images], Images]
) -> None:
    write_blind(tmp_path / "blind", change)
    assert name in drifting(compared(labelled, tmp_path))


def test_other_scores_are_flagged(labelled: Path, tmp_path: Path) -> None:
    write_blind(tmp_path / "blind", lambda images: images)
    assert drifting(compared(labelled, tmp_path, np.full(60, 0.999))) == {"probability"}


def test_pixels_of_the_labelled_data_are_found(
    labelled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_test_set(tmp_path / "blind", 60)
    index = pd.read_parquet(labelled / "packed/index.parquet").merge(
        pd.read_parquet(labelled / "splits/objects.parquet")[["object", "split"]], on="object"
    )
    known = index[(index["split"] == "train") & (index["band"] == "r")].iloc[0]
    cutouts = np.load(labelled / "packed/cutouts.npy", mmap_mode="r")
    path = tmp_path / "blind/object_00007_r.fits"
    path.write_bytes(primary_bytes(cutouts[known.name].astype(np.float64)))
    with caplog.at_level(logging.WARNING, "stronglens"):
        found = compared(labelled, tmp_path)
    assert found["identical_cutouts"] == {"n_cutouts": 1, "splits": {"train": 1}, "first": [str(path)]}
    assert "1 cutouts of the blind set are pixel for pixel in the labelled data (train: 1)" in caplog.text


@pytest.mark.parametrize(("split", "refused"), [("train", True), ("val", True), ("test", False)])
def test_a_labelled_test_set_of_images_that_were_learnt_is_refused(
    labelled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, split: str, refused: bool
) -> None:
    objects = pd.read_parquet(labelled / "splits/objects.parquet")
    known = set(objects.loc[objects["split"] == split, "object"])
    index = pd.read_parquet(labelled / "packed/index.parquet")
    one = index[index["object"].isin(known)].groupby("bucket").head(5)  # an object in all its bands
    for bucket, rows in one.groupby("bucket"):
        (tmp_path / "data" / bucket).mkdir(parents=True)
        for path in rows["path"]:
            (tmp_path / "data" / bucket / Path(path).name).symlink_to(path)
    buckets = {bucket: str(tmp_path / "data" / bucket) for bucket in one["bucket"].unique()}
    settings = PackSettings.model_validate({"dataset": "again", "labelled": buckets})
    build_buckets(settings, tmp_path / "packed")
    write_ensemble(tmp_path / "test", "test", [("", 0.5)])
    options = [f"--labelled={labelled}/packed", f"--splits={labelled}/splits", f"--packed={tmp_path}/packed"]
    options += [f"--val-csv={labelled}/val/val_ens.csv", f"--test-csv={tmp_path}/test/test_ens.csv"]
    assert step.main([*options, f"--out-dir={tmp_path}/out"]) == int(refused)
    assert ("found 20 of its cutouts in the training or validation split" in caplog.text) is refused
    assert (tmp_path / "out/drift.json").exists() is not refused


SAMPLES = st.lists(st.integers(-3, 3) | st.floats(-5, 5), min_size=1, max_size=20)


@given(SAMPLES, SAMPLES)
def test_the_distance_to_one_other_is_that_of_kolmogorov_and_smirnov(
    one: list[float], other: list[float]
) -> None:
    def share(values: list[float], at: float) -> float:
        return sum(value <= at for value in values) / len(values)

    expected = max(abs(share(one, at) - share(other, at)) for at in one + other)
    assert distance_outside(np.array(one), [np.array(other)]) == pytest.approx(expected, abs=1e-12)


@given(st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_a_mixture_is_never_outside(share: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    one, other = generator.normal(0, 1, 50), generator.normal(4, 2, 70)
    mixture = np.concatenate(
        [np.repeat(one, 7 * round(100 * share)), np.repeat(other, 5 * round(100 * (1 - share)))]
    )
    assert distance_outside(mixture, [one, other]) < 1e-12


IN_COUNTS = ("sky", "noise", "peak", "flux")


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("exponent", [-50, -12, 12, 50])
def test_statistics_follow_the_unit_of_the_pixels(name: str, exponent: int) -> None:
    images = np.random.default_rng(5).normal(0, 1, (20, 41, 41)).astype(np.float32)
    images[:, 18:23, 18:23] += 30
    unit = 2.0**exponent
    expected = STATISTICS[name](images) * (unit if name in IN_COUNTS else 1)
    np.testing.assert_array_equal(STATISTICS[name](images * np.float32(unit)), expected)
