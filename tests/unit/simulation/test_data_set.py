import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table
from scipy.stats import ks_2samp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from build_buckets import main as build_buckets
from simulate import main
from stronglens.simulation.data_set import BUCKETS

N_PER_BUCKET = 40


def simulate(out_dir: Path, n_per_bucket: int, n_blind: int, *more: str) -> int:
    settings = {"objects_per_bucket": n_per_bucket, "test_objects": n_blind, "seed": 3}
    return main(["--out-dir", str(out_dir), "--settings", json.dumps(settings), *more])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    assert simulate(folder, N_PER_BUCKET, 8, "--processes", "1") == 0
    return folder


@pytest.fixture(scope="module")
def packed(simulated, tmp_path_factory) -> tuple[np.ndarray, pd.DataFrame]:
    """Images, shape (n_objects, 5, 41, 41), and a row of the index for each object."""
    folder = tmp_path_factory.mktemp("packed")
    settings = {"labelled": {bucket.name: str(simulated / "labelled" / bucket.name) for bucket in BUCKETS}}
    assert build_buckets(["--settings", json.dumps(settings), "--out-dir", str(folder)]) == 0
    assert json.loads((folder / "summary.json").read_text())["n_rejected"] == 0
    images = np.load(folder / "cutouts.npy").astype(float).reshape(-1, 5, 41, 41)
    return images, pd.read_parquet(folder / "index.parquet").iloc[::5]


def test_files_are_those_of_the_challenge(simulated):
    with fits.open(simulated / "labelled/slsim_lenses/slsim_lenses/D1_L_00000000_g.fits") as hdus:
        assert hdus[0].data is None
        assert hdus[1].columns.names == ["Lens ID", "band_g"]
        assert hdus[1].columns.formats == ["24A", "1681D"]
        assert hdus[1].header["TDIM2"] == "(41,41)"
    with fits.open(simulated / "labelled/hsc_nonlenses/hsc_nonlenses/D2_N_00000039_y.fits") as hdus:
        assert hdus[1].columns.names == ["Object ID", "band_y"]
        assert hdus[1].columns.formats == ["22A", "1681D"]
    with fits.open(simulated / "test_dataset_updated/object_00007_z.fits") as hdus:
        assert len(hdus) == 1
        assert hdus[0].data.shape == (41, 41)
    assert (simulated / "labelled/slsim_lenses/slsim_lenses/D1_L_00000000_g.fits").stat().st_size == 20_160


def test_parameters_belong_to_the_files(simulated):
    for bucket in BUCKETS:
        path = simulated / "labelled" / bucket.name / "parameters.fits"
        assert path.exists() == (bucket.name != "slsim_nonlenses")
    table = Table.read(simulated / "labelled/hsc_lenses/parameters.fits")
    assert len(table) == N_PER_BUCKET
    assert {"Lens ID", "zlens", "vel disp", "Rein", "mag_lens_g", "mag_src_y", "n_s_sers"} <= set(
        table.colnames
    )
    assert 0.5 <= table["Rein"].min() <= table["Rein"].max() <= 1.5
    assert (table["zsrc"] > table["zlens"]).all()
    with fits.open(simulated / "labelled/hsc_lenses/hsc_lenses/D2_L_00000004_r.fits") as hdus:
        assert hdus[1].data["Lens ID"][0] == table["Lens ID"][4]


def test_truth_lists_the_blind_objects(simulated):
    truth = pd.read_csv(simulated / "truth.csv")
    assert list(truth["id"]) == [f"object_{number:05d}" for number in range(8)]
    assert truth["label"].sum() == 4
    assert (truth["Rein"].notna() == truth["label"].astype(bool)).all()


def test_number_of_processes_and_of_objects_changes_no_byte(simulated, tmp_path):
    assert simulate(tmp_path, 2, 2, "--processes", "2") == 0
    names = [path.relative_to(tmp_path) for path in (tmp_path / "labelled").rglob("*_*_*_?.fits")]
    assert len(names) == 40
    for name in names:
        assert (tmp_path / name).read_bytes() == (simulated / name).read_bytes(), name


def test_what_an_earlier_run_left_is_gone(tmp_path):
    assert simulate(tmp_path, 2, 2, "--processes", "1") == 0
    assert simulate(tmp_path, 1, 1, "--processes", "1") == 0
    assert len(list(tmp_path.rglob("*_?.fits"))) == 25
    assert json.loads((tmp_path / "simulated.json").read_text())["n_objects"]["hsc_lenses"] == 1


def separability(features: np.ndarray, labels: np.ndarray) -> float:
    """Cross-validated area under the ROC curve of a logistic regression."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return roc_auc_score(
        labels, cross_val_predict(model, features, labels, cv=5, method="predict_proba")[:, 1]
    )


def test_flux_peak_and_concentration_do_not_tell_lenses(packed):
    images, index = packed
    images = images - np.median(images, axis=(2, 3), keepdims=True)
    axis = np.arange(41) - 20
    radius = np.hypot(*np.meshgrid(axis, axis))
    total = images[:, :, radius <= 12].sum(axis=-1)
    concentration = np.clip(images[:, :, radius <= 3].sum(axis=-1) / total, -2, 3)
    features = np.hstack([np.arcsinh(total), np.arcsinh(images.max(axis=(2, 3))), concentration])
    assert separability(features, index["label"].to_numpy()) < 0.75


@pytest.mark.parametrize("domain", ["slsim", "hsc"])
def test_noise_is_the_same_with_and_without_a_lens(packed, domain):
    """From differences of neighbours in the corners, where wings of galaxies cancel."""
    images, index = packed
    corners = np.concatenate([images[:, :, :6, :6], images[:, :, -6:, -6:]], axis=2)
    noise = np.log(np.abs(np.diff(corners, axis=3)).mean(axis=(1, 2, 3)))
    chosen = (index["domain"] == domain).to_numpy()
    is_lens = index["label"].to_numpy() == 1
    assert ks_2samp(noise[chosen & is_lens], noise[chosen & ~is_lens]).pvalue > 0.01


def test_place_is_the_same_with_and_without_a_lens(packed):
    """The brightest pixel of the smoothed r, i and z bands: its scatter around the centre."""
    images, index = packed
    red = images[:, 1:4].mean(axis=1)
    smooth = sum(np.roll(red, (dy, dx), (1, 2)) for dy in (-1, 0, 1) for dx in (-1, 0, 1))[:, 15:26, 15:26]
    peak = smooth.reshape(len(smooth), -1).argmax(axis=1)
    offset = np.abs(np.stack(np.divmod(peak, 11)) - 5).max(axis=0)
    is_lens = index["label"].to_numpy() == 1
    assert np.median(offset) <= 1
    assert abs(offset[is_lens].mean() - offset[~is_lens].mean()) < 0.5
