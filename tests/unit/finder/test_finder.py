"""The API gives what the workflow gives, for pixels in memory and for files, and says what is odd."""

import doctest
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from astropy.table import Table
from pydantic import ValidationError

import stronglens
from capsule_files import MISSING, SMALL, TinyRun, write_run
from fits_files import CutoutReader, primary_bytes
from stronglens import Flag, Result
from stronglens.ensembling import width_calibration
from stronglens.finder.commands import main
from stronglens.finder.scored_sources import check_table_name
from stronglens.formats.capsule import Manifest, read_capsule
from stronglens.running.errors import InputError
from stronglens.sources.rejected import Rejected

SRC = Path(__file__).parents[3] / "src"
TRAIN = {"epochs": 1, "batch_size": 16, "lr": 2e-3}
STACK = list("grizy")
WIDE = {"targets": ["Rein"], "uncertainties": True}

RUNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "mixed": (
        {
            "each": {"preprocess": {"smoothing": "guided", "scale": "mad", "pad_to_px": 36}},
            "stack": {"bands": STACK, "network": SMALL},
            "some": {"bands": ["g", "r"], "predict": {"test_time_augmentation": True}},
        },
        {
            "combine_bands": "logistic",
            "combine_members": "weighted",
            "calibration": "platt",
            "sky_prevalence": 1e-3,
        },
    ),
    "asinh": (
        {
            "each": {"preprocess": {"normalisation": "asinh"}},
            "stack": {
                "bands": STACK,
                "preprocess": {"normalisation": "object", "smoothing": "gaussian"},
                "network": {"name": "cutout_resnet", "timm": {"widths": [8, 16], "depths": [1, 1]}},
                "train": TRAIN | {"optimiser": "muon"},
            },
        },
        {"combine_members": "mean_of_logits", "calibration": "isotonic"},
    ),
    "plain": ({"each": {}, "one": {"bands": ["i"]}}, {}),
    "lens": ({"each": {"lens_parameters": {"targets": ["Rein"]}}, "other": {}}, {}),
    "widths": (
        {
            "each": {"lens_parameters": WIDE, "predict": {"test_time_augmentation": True}},
            "stack": {"lens_parameters": WIDE, "bands": ["g", "r", "i"]},
            "other": {},
        },
        {},
    ),
}
"""Single-band and stacked members, each normalisation, each kind of combination."""


class Ready:
    """A run, its capsule, and the held-out objects as the workflow scored them."""

    def __init__(self, run: TinyRun) -> None:
        self.run = run
        self.capsule = run.root / "tiny.capsule"
        assert run.make_capsule(self.capsule) == 0
        self.finder = stronglens.load(self.capsule, device="cpu")
        self.table = pd.read_csv(run.heldout / "test_ens_labeled.csv")
        index = pd.read_parquet(run.packed / "index.parquet")
        cutouts = np.load(run.packed / "cutouts.npy")
        self.images = np.full((len(self.table), 5, 33, 33), np.nan, dtype=np.float32)
        number = {key: row for row, key in enumerate(self.table["object"])}
        for row, (key, band) in enumerate(zip(index["object"], index["band"], strict=True)):
            if key in number:
                self.images[number[key], "grizy".index(band)] = cutouts[row]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ready]:
    return {}


@pytest.fixture(scope="module")
def ready(made: dict[str, Ready], tmp_path_factory: pytest.TempPathFactory) -> Any:
    def of(name: str) -> Ready:
        if name not in made:
            models, combine = RUNS[name]
            trained = {
                model: {"train": TRAIN, "network": SMALL, **settings} for model, settings in models.items()
            }
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(width_calibration, "FEWEST_LENSES", 2)  # there are few
                made[name] = Ready(write_run(tmp_path_factory.mktemp(name), trained, combine))
        return made[name]

    return of


@pytest.mark.parametrize("name", list(RUNS))
def test_the_api_agrees_with_the_workflow(ready: Any, name: str) -> None:
    one = ready(name)
    assert np.isnan(one.images).all(axis=(2, 3)).sum() == len(MISSING)
    result = one.finder.predict(one.images, bands="grizy", domains=one.table["domain"].tolist())
    for column in ("prob", "prob_std"):
        assert np.abs(getattr(result, column) - one.table[column]).max() < 1e-5
    for column in ("prob_raw", "prob_sky"):
        if column in one.table:
            assert np.abs(getattr(result, column) - one.table[column]).max() < 1e-5
    clear = np.abs(one.table["prob"] - one.finder.threshold) > 1e-5
    assert (result.pred == one.table["pred"])[clear].all()
    assert (result.n_cutouts == one.table["n_cutouts"]).all()
    assert (result.prob_sky is not None) == ("prob_sky" in one.table)
    assert result.members.shape == (len(one.run.models), len(one.table))
    lacking = one.table["object"].isin([key for key, _ in MISSING]).to_numpy()
    assert ((result.flags & Flag.MISSING_BAND > 0) == lacking).all()


def odd_images(one: Ready) -> npt.NDArray[np.float32]:
    """Held-out objects, some with pixels that are missing, broken, constant, or in another unit."""
    images = one.images.copy()
    images[0] = np.nan
    images[1, 2, 3, 3], images[2, 3, 0, 0] = np.nan, np.inf
    images[3, 1], images[4] = 4.0, images[4] * 1e-12
    return images


def compare(found: Mapping[str, npt.NDArray[np.float64]], expected: Result, tolerance: float) -> None:
    for name, values in found.items():
        others = expected.lens_parameters.get(name)
        others = getattr(expected, name) if others is None else others
        assert np.array_equal(np.isnan(values), np.isnan(others)), name
        assert np.nanmax(np.abs(values - others)) < tolerance, name


@pytest.mark.parametrize("name", list(RUNS))
def test_the_graph_of_an_ensemble_computes_what_its_parts_do(ready: Any, name: str) -> None:
    """What ONNX holds, before it is written as ONNX."""
    from stronglens.finder.members import load_members
    from stronglens.finder.onnx_graph import EnsembleGraph

    one = ready(name)
    opened = read_capsule(one.capsule)
    graph = EnsembleGraph(opened.manifest, load_members("tiny", opened.manifest, opened.read, "cpu")).eval()
    images = odd_images(one)
    with torch.no_grad():
        outputs = dict(zip(graph.names, graph(torch.from_numpy(images)), strict=True))
    found = {name: values.numpy().T for name, values in outputs.items()}
    compare(found, one.finder.predict(images), 1e-5)


NO_TORCH = """
import sys
sys.modules["torch"] = None  # as where it is not installed
import numpy as np
import stronglens
result = stronglens.load(sys.argv[1]).predict(np.load(sys.argv[2]))
np.savez(sys.argv[3], members=result.members, **{name: result.table()[name] for name in result.table()})
"""


@pytest.mark.parametrize("name", ["mixed", "asinh", "lens", "widths"])
def test_onnxruntime_gives_the_same_without_torch(ready: Any, tmp_path: Path, name: str) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    one = ready(name)
    path = tmp_path / "with_graph.capsule"
    assert one.run.make_capsule(path, "--settings", '{"onnx": true}') == 0
    images = odd_images(one)
    np.save(tmp_path / "images.npy", images)
    files = [str(path), str(tmp_path / "images.npy"), str(tmp_path / "found.npz")]
    there = os.environ | {"PYTHONPATH": os.pathsep.join([str(SRC), *sys.path])}
    subprocess.run([sys.executable, "-c", NO_TORCH, *files], env=there, check=True)
    expected = one.finder.predict(images)
    with np.load(tmp_path / "found.npz") as found:
        for whole in ("pred", "n_cutouts", "flags"):
            assert np.array_equal(found[whole], getattr(expected, whole))
        values = {key: found[key] for key in found if key not in ("pred", "n_cutouts", "flags")}
        compare(values, expected, 1e-5)
    with pytest.raises(InputError, match="expected a capsule with a graph for onnxruntime, found none"):
        stronglens.load(one.capsule, backend="onnx")


def test_a_graph_that_cannot_be_written_is_an_error(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert ready("plain").run.make_capsule(tmp_path / "x.capsule", "--settings", '{"onnx": true}') == 1
    assert "expected the packages onnx and onnxscript, found none" in capsys.readouterr().err
    assert not (tmp_path / "x.capsule").exists()


def test_of_members_that_see_nothing_of_an_object_it_is_said(ready: Any) -> None:
    one = ready("mixed")
    result = one.finder.predict(one.images)
    unseen = one.table["object"] == "hsc_nonlenses/D_00000015"  # lacks g and r
    assert ((result.flags & Flag.UNSEEN > 0) == unseen).all()


def test_order_batches_type_and_memory_change_nothing(ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = ready("asinh")
    expected = one.finder.predict(one.images).prob
    turned = one.finder.predict(one.images[:, ::-1], bands="yzirg").prob
    wide = one.finder.predict(torch.from_numpy(one.images).double(), batch_size=3).prob
    streamed = one.finder.predict_stream([one.images[:5], torch.from_numpy(one.images[5:])], bands="grizy")
    joined = np.concatenate([result.prob for result in streamed])
    monkeypatch.setattr("stronglens.finder.finder.OBJECTS_AT_ONCE", 5)
    in_pieces = one.finder.predict(one.images).prob
    for other in (turned, wide, joined, in_pieces):
        assert np.abs(other - expected).max() < 1e-6
    assert np.abs(one.finder.predict(one.images[3:4]).prob - expected[3]).max() < 1e-6


def test_bands_that_are_not_named_are_missing(ready: Any) -> None:
    one = ready("plain")
    some = one.images.copy()
    some[:, 3:] = np.nan
    assert np.array_equal(one.finder.predict(some).prob, one.finder.predict(some[:, :3], bands="gri").prob)


def test_what_packing_would_reject_counts_as_missing(ready: Any, tmp_path: Path) -> None:
    """The same pixels in files, by the reader of packing."""
    finder = ready("plain").finder
    image = ready("plain").images[0, 0]
    odd: dict[str, npt.NDArray[np.float32]] = {
        name: image.copy() for name in ("good", "nan", "inf", "absurd", "flat")
    }
    odd["nan"][0, 0], odd["inf"][0, 0], odd["absurd"][0, 0] = np.nan, np.inf, 2e18
    odd["flat"][:] = 3
    images = np.full((len(odd), 5, 33, 33), np.nan, dtype=np.float32)
    images[:, 2] = ready("plain").images[0, 2]
    images[:, 0] = list(odd.values())
    result = finder.predict(images)
    without = finder.predict(images[:1, 1:], bands="rizy")
    for number, (name, pixels) in enumerate(odd.items()):
        path = tmp_path / f"{name}.fits"
        path.write_bytes(primary_bytes(pixels.astype(np.float64)))
        try:
            CutoutReader(33).read(str(path))
        except Rejected:
            assert result.flags[number] & Flag.REJECTED
            assert result.prob[number] == pytest.approx(without.prob[0], abs=1e-6)
        else:
            assert name == "good"
            assert not result.flags[number] & Flag.REJECTED


def test_pixels_are_filled_where_the_data_were(ready: Any, tmp_path: Path) -> None:
    from stronglens.finder.pixels import from_images

    image = ready("plain").images[0, :1].astype(np.float64)
    holes = image.copy()
    holes[0, :3, :3] = np.nan
    empty = image.copy()
    empty[0, :20] = np.inf
    images = np.stack([image, holes, empty])
    pixels = from_images(images, "g", ["g"], 33, "fill", "unknown")
    for number in (0, 1):
        path = tmp_path / f"{number}.fits"
        path.write_bytes(primary_bytes(images[number, 0]))
        assert np.array_equal(pixels.cutouts[number], CutoutReader(33, "fill").read(path)[0])
    assert pixels.objects.tolist() == [0, 1]
    assert pixels.flags.tolist() == [0, Flag.FILLED, Flag.REJECTED]


def test_nothing_is_said_of_objects_without_a_cutout(ready: Any) -> None:
    finder = ready("mixed").finder
    images = ready("mixed").images[:3].copy()
    images[1] = np.nan
    result = finder.predict(images)
    assert np.isnan(result.prob[1])
    assert np.isnan(result.members[:, 1]).all()
    assert (result.pred[1], result.n_cutouts[1]) == (-1, 0)
    assert result.flags[1] == Flag.NO_CUTOUT | Flag.MISSING_BAND
    assert np.isfinite(result.prob[[0, 2]]).all()
    alone = finder.predict(images[1:2])
    assert (alone.pred.tolist(), alone.prob_sky is not None) == ([-1], True)
    assert len(finder.predict(images[:0])) == 0


@pytest.mark.parametrize(
    ("shape", "bands", "said"),
    [
        ((2, 5, 32, 32), None, r"expected shape \(n, n_bands, 33, 33\).*found \(2, 5, 32, 32\)"),
        ((2, 33, 33), None, "expected shape"),
        ((2, 4, 33, 33), None, "expected a channel for each of the bands g, r, i, z, y"),
        ((2, 2, 33, 33), "gu", "expected some of g, r, i, z, y, each once.*found g, u"),
        ((2, 2, 33, 33), "gg", "each once"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    ready: Any, shape: tuple[int, ...], bands: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        ready("plain").finder.predict(np.zeros(shape), bands)
    with pytest.raises(InputError, match="expected real numbers, found complex128"):
        ready("plain").finder.predict(np.zeros((1, 5, 33, 33), dtype=complex))


@pytest.mark.parametrize(
    ("images", "more", "said"),
    [
        (None, {}, "expected an array or a tensor .*found None"),
        (np.float32(3), {}, "expected an array or a tensor"),
        (torch.tensor(3.0), {}, "expected an array or a tensor"),
        ({"g": np.zeros((2, 33, 33))}, {}, "expected an array or a tensor"),
        (torch.zeros((2, 5, 33, 33)).to_sparse(), {}, "expected an array or a tensor"),
        (np.zeros((2, 5, 33, 33)), {"batch_size": 0}, "batch_size: expected 1 or more, found 0"),
        (np.zeros((2, 5, 33, 33)), {"domains": ["hsc"] * 3}, "one for each of 2 objects, found 3"),
    ],
)
def test_what_is_no_image_or_does_not_fit_is_refused(
    ready: Any, monkeypatch: pytest.MonkeyPatch, images: Any, more: dict[str, Any], said: str
) -> None:
    # As many domains too many as objects are looked at in another go.
    monkeypatch.setattr("stronglens.finder.finder.OBJECTS_AT_ONCE", 2)
    with pytest.raises(InputError, match=said):
        ready("plain").finder.predict(images, **more)


def test_masked_pixels_are_missing(ready: Any) -> None:
    images = np.random.default_rng(5).normal(size=(3, 5, 33, 33)).astype(np.float32)
    hidden = np.zeros(images.shape, dtype=bool)
    hidden[0, 1], hidden[1, 2, :3] = True, True
    found = ready("plain").finder.predict(np.ma.masked_array(images, hidden))
    expected = ready("plain").finder.predict(np.where(hidden, np.nan, images))
    assert found.n_cutouts.tolist() == [4, 4, 5]
    np.testing.assert_array_equal(found.flags, expected.flags)
    np.testing.assert_array_equal(found.prob, expected.prob)
    integers = np.ma.masked_array((images * 1000).astype(np.int32), hidden)
    assert ready("plain").finder.predict(integers).n_cutouts.tolist() == [4, 4, 5]


def test_a_capsule_states_the_factors_of_its_widths(ready: Any) -> None:
    one = ready("widths")
    stated = one.finder.manifest.model_dump(mode="json")
    (factor,) = stated["width_factors"].values()
    assert factor != 1
    assert factor == json.loads((one.run.validation / "val_ens.json").read_text())["width_factors"]["Rein"]
    with pytest.raises(ValidationError, match="width_factors: expected those of Rein, found none"):
        Manifest.model_validate(stated | {"width_factors": {}})
    assert "width_factors" not in ready("lens").finder.manifest.model_dump(mode="json")


@pytest.mark.parametrize("name", ["lens", "widths"])
def test_lens_parameters_are_estimated_as_in_the_workflow(ready: Any, name: str) -> None:
    one = ready(name)
    result = one.finder.predict(one.images)
    assert list(result.lens_parameters) == ["Rein", "Rein_std"]
    rows = one.finder.manifest.completeness
    assert {row["property"] for row in rows} == {"einstein_radius_arcsec"}
    assert "| einstein radius arcsec | " in one.finder.describe()
    for column, values in result.lens_parameters.items():
        assert np.abs(values - one.table[column]).max() < 1e-5
        assert column in result.table()


def write_fits(folder: Path, one: Ready, *, bands: str = "grizy") -> list[str]:
    """The held-out objects as files; gives their names."""
    folder.mkdir(parents=True)
    names = [f"object_{number:05d}" for number in range(len(one.images))]
    for name, image in zip(names, one.images, strict=True):
        for band, pixels in zip("grizy", image, strict=True):
            if band in bands and np.isfinite(pixels).all():
                (folder / f"{name}_{band}.fits").write_bytes(primary_bytes(pixels.astype(np.float64)))
    return names


def test_files_give_what_their_pixels_give(ready: Any, tmp_path: Path) -> None:
    one = ready("plain")
    names = write_fits(tmp_path / "files", one)
    cutouts = stronglens.read_cutouts(tmp_path / "files", size_px=33)
    assert cutouts.objects == names
    assert np.array_equal(cutouts.images, one.images, equal_nan=True)
    assert (cutouts.bands, len(cutouts.rejected)) == (STACK, 0)
    # A broken file of an object, and one whose files are all broken.
    (tmp_path / "files" / "object_00003_r.fits").write_bytes(b"broken")
    for band in "gr":
        (tmp_path / "files" / f"object_99999_{band}.fits").write_bytes(b"broken")
    out = tmp_path / "table.parquet"
    assert (
        main(["predict", str(one.capsule), str(tmp_path / "files"), "--out", str(out), "--device", "cpu"])
        == 0
    )
    table = pd.read_parquet(out).set_index("object")
    expected = one.images.copy()
    expected[3, 1] = np.nan
    result = one.finder.predict(expected)
    assert list(table.index) == [*names, "object_99999"]
    assert np.abs(table["prob"].to_numpy()[:-1] - result.prob).max() < 1e-6
    assert table["path"].iloc[0].endswith("object_00000_g.fits")
    assert table["flags"].iloc[3] == Flag.MISSING_BAND | Flag.REJECTED
    assert np.isnan(table["prob"].iloc[-1])
    assert (table["pred"].iloc[-1], table["flags"].iloc[-1]) == (
        -1,
        Flag.NO_CUTOUT | Flag.MISSING_BAND | Flag.REJECTED,
    )
    assert (tmp_path / "files").is_dir()


def test_single_files_lists_and_several_sources_are_taken(ready: Any, tmp_path: Path) -> None:
    one = ready("plain")
    names = write_fits(tmp_path / "one", one, bands="gri")
    files = [str(tmp_path / "one" / f"{names[0]}_{band}.fits") for band in "gr"]
    out = tmp_path / "table.csv"
    assert main(["predict", str(one.capsule), *files, "--out", str(out), "--device", "cpu"]) == 0
    (row,) = pd.read_csv(out).to_dict("records")
    expected = one.finder.predict(one.images[:1, :2], bands="gr")
    assert row["prob"] == pytest.approx(expected.prob[0], abs=1e-6)
    assert row["n_cutouts"] == 2
    # A folder without the bands z and y says so, and is taken where that is said.
    arguments = ["predict", str(one.capsule), str(tmp_path / "one"), "--out", str(out), "--device", "cpu"]
    assert main(arguments) == 1
    assert main([*arguments, "--bands", "gri"]) == 0
    assert len(pd.read_csv(out)) == len(names)
    (tmp_path / "list.txt").write_text(files[0])
    assert (
        main(["predict", str(one.capsule), str(tmp_path / "list.txt"), "--out", str(out), "--bands", "g"])
        == 0
    )
    assert len(pd.read_csv(out)) == 1
    cutouts = stronglens.read_cutouts(files[0], size_px=33)
    assert (cutouts.images.shape, cutouts.bands) == ((1, 1, 33, 33), ["g"])
    assert np.array_equal(cutouts.images[0, 0], one.images[0, 0])


def test_a_single_file_has_the_name_of_its_link(ready: Any, tmp_path: Path) -> None:
    (tmp_path / "0a1b2c").write_bytes(primary_bytes(ready("plain").images[0, 0].astype(np.float64)))
    (tmp_path / "J0946_g.fits").symlink_to("0a1b2c")
    cutouts = stronglens.read_cutouts(tmp_path.glob("*.fits"), size_px=33)
    assert (cutouts.objects, cutouts.bands) == (["J0946"], ["g"])


def test_a_fits_table_of_files_is_no_image(ready: Any, tmp_path: Path) -> None:
    one = ready("plain")
    names = write_fits(tmp_path / "files", one, bands="gri")
    rows = [(name, band, f"files/{name}_{band}.fits", -0.25) for name in names[:2] for band in "gri"]
    Table(rows=rows, names=["id", "band", "path", "ra"]).write(tmp_path / "table.fits")
    table = Table.read(tmp_path / "table.fits")
    table["dec"] = 0.0
    table.write(tmp_path / "table.fits", overwrite=True)
    out = tmp_path / "out.parquet"
    arguments = ["predict", str(one.capsule), str(tmp_path / "table.fits"), "--device", "cpu"]
    assert main([*arguments, "--bands", "g, r,i", "--out", str(out)]) == 0
    found = pd.read_parquet(out)
    assert found["object"].tolist() == names[:2]
    assert found["ra"].tolist() == [359.75, 359.75]
    expected = one.finder.predict(one.images[:2, :3], bands="gri")
    assert np.abs(found["prob"] - expected.prob).max() < 1e-6


def test_sources_are_read_as_is_said(ready: Any, tmp_path: Path, capsys: Any) -> None:
    one = ready("plain")
    images = np.pad(one.images[:2], ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    images[0, 1, 3, 3] = -9999
    np.save(tmp_path / "stack.npy", images)
    out = tmp_path / "out.parquet"
    arguments = [
        "predict",
        str(one.capsule),
        str(tmp_path / "stack.npy"),
        "--device",
        "cpu",
        "--out",
        str(out),
    ]
    assert main(arguments) == 1
    assert "give band_axis" in (said := capsys.readouterr().err)
    assert "on the command line, --reading" in said
    reading = {"band_axis": 0, "fit": "crop", "sentinels": [-9999]}
    assert main([*arguments, "--reading", json.dumps(reading)]) == 0
    expected = one.images[:2].copy()
    expected[0, 1] = np.nan
    assert np.abs(pd.read_parquet(out)["prob"] - one.finder.predict(expected).prob).max() < 1e-6
    cutouts = stronglens.read_cutouts(tmp_path / "stack.npy", size_px=33, reading=reading)
    np.testing.assert_array_equal(cutouts.images, expected)
    with pytest.raises(InputError, match=r"reading: band_axs: Extra inputs"):
        stronglens.read_cutouts(tmp_path / "stack.npy", reading={"band_axs": 0})


def test_what_is_no_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="paths: expected sources of cutouts, found none"):
        stronglens.read_cutouts([])
    with pytest.raises(InputError, match=r"x_g\.fits: expected a FITS file, found none"):
        stronglens.read_cutouts(tmp_path / "x_g.fits")
    odd = tmp_path / os.fsdecode(b"\xff_g.fits")
    odd.write_bytes(b"")
    with pytest.raises(InputError, match="expected a name that can be printed"):
        stronglens.read_cutouts(odd)


def test_no_table_replaces_a_source_or_is_computed_in_vain(tmp_path: Path) -> None:
    source = tmp_path / "table.csv"
    source.write_text("path\n")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    for out, said in (
        (tmp_path / "link" / "table.csv", "expected another file than the sources, found one of them"),
        (source / "x.csv", "expected a file in a folder that can be written to"),
        (tmp_path / "folder.csv", "expected a file in a folder that can be written to, found a folder"),
    ):
        with pytest.raises(InputError, match=said):
            check_table_name(out, [source])
    check_table_name(tmp_path / "new" / "x.csv", [source])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_stopped_leaves_nothing(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    one = ready("plain")
    write_fits(tmp_path / "files", one)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    seen: list[Path] = []

    def stop(*_: Any, **__: Any) -> None:
        seen.extend(scratch.iterdir())
        signal.raise_signal(number)

    monkeypatch.setattr("stronglens.finder.finder.Finder.predict_pixels", stop)
    # Where tests run in the background, the shell had Ctrl-C ignored.
    of_tests = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGTERM)
    arguments = ["predict", str(one.capsule), str(tmp_path / "files"), "--device", "cpu"]
    try:
        found = main([*arguments, "--out", str(tmp_path / "x.csv")])
    except SystemExit as stopped:
        found = int(str(stopped.code))
    finally:
        signal.signal(signal.SIGINT, of_tests)
    assert (found, len(seen)) == (code, 1)
    assert not list(scratch.iterdir())
    assert not (tmp_path / "x.csv").exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_backend_that_is_none_is_refused(ready: Any) -> None:
    with pytest.raises(InputError, match="backend: expected auto, torch or onnx, found 'jax'"):
        stronglens.load(ready("plain").capsule, backend="jax")  # type: ignore[arg-type]


def test_images_of_no_stated_band_are_taken(ready: Any, tmp_path: Path) -> None:
    image = ready("plain").images[0, 2]
    (tmp_path / "galaxy.fits").write_bytes(primary_bytes(image.astype(np.float64)))
    cutouts = stronglens.read_cutouts(tmp_path / "galaxy.fits", size_px=33)
    assert (cutouts.bands, cutouts.objects) == (["single"], ["galaxy"])
    result = ready("plain").finder.predict(cutouts.images, bands=cutouts.bands)
    assert np.isfinite(result.prob).all()
    assert not result.flags[0] & Flag.MISSING_BAND


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--out", "x.fits"], 1, "expected a name that ends in .parquet or .csv"),
        (["--out", "x.csv", "--bands", "gu"], 1, "bands: expected some of g, r, i, z, y, found u"),
        (["--out", "x.csv", "--batch-size", "0"], 2, "batch-size"),
        ([], 2, "--out"),
    ],
)
def test_a_wrong_command_line_leaves_nothing(
    ready: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        main(["predict", str(ready("plain").capsule), str(tmp_path), *arguments, "--device", "cpu"]) == code
    )
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_importing_the_library_is_cheap() -> None:
    """No more than its own file: no torch, no NumPy."""
    code = (
        "import sys; before = set(sys.modules); import stronglens; print(sorted(set(sys.modules) - before))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    loaded = json.loads(printed.replace("'", '"'))
    assert not {"torch", "numpy", "pandas", "pydantic"} & set(loaded)
    assert [name for name in loaded if name.startswith("stronglens")] == ["stronglens"]


def test_every_name_of_the_library_is_there() -> None:
    for name in stronglens.__all__:
        assert getattr(stronglens, name).__module__.startswith("stronglens.")
    assert set(stronglens.__all__) <= set(dir(stronglens))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        stronglens.nothing  # noqa: B018 - to see that it is not there


@pytest.mark.parametrize(
    "module", ["stronglens", "stronglens.finder.finder", "stronglens.finder.cutouts", "docs/capsules.md"]
)
def test_examples_in_the_documentation_run(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    one = ready("plain")
    monkeypatch.chdir(tmp_path)
    manifest_name = "nano.capsule"
    (tmp_path / manifest_name).write_bytes(named_nano(one, tmp_path).read_bytes())
    pixels = np.random.default_rng(0).normal(0, 1, (41, 41))
    (tmp_path / "galaxy_0_g.fits").write_bytes(primary_bytes(pixels))
    names = {"stronglens": stronglens, "images": one.images[:4]}
    if module.endswith(".md"):
        page = SRC.parent / module
        failed, tried = doctest.testfile(
            str(page), module_relative=False, globs=names, optionflags=doctest.ELLIPSIS
        )
    else:
        failed, tried = doctest.testmod(import_module(module), extraglobs=names)
    assert tried > 0
    assert failed == 0


def named_nano(one: Ready, folder: Path) -> Path:
    """The capsule of an ensemble called nano."""
    import capsule as step

    path = folder / "made.capsule"
    arguments = ["--ensemble", "nano", "--out", str(path), "--labelled", str(one.run.packed)]
    arguments += ["--validation", str(one.run.validation)]
    for model in one.run.models:
        arguments += ["--members", str(one.run.member(model))]
    assert step.main(arguments) == 0
    return path
