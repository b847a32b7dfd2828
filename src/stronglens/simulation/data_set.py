"""A whole simulated data set: four labelled buckets and a blind test folder."""

import csv
import hashlib
import io
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from stronglens.formats.artefact import write_text, writing
from stronglens.formats.simulated import SimulatedDescription
from stronglens.running.progress import progress
from stronglens.running.worker_processes import worker_processes
from stronglens.settings.data import SimulateSettings
from stronglens.simulation.challenge_files import blind_bytes, labelled_bytes, write_parameters
from stronglens.simulation.grid import Floats
from stronglens.simulation.scene import SimulatedObject, simulate_object
from stronglens.simulation.spectra import BANDS

log = logging.getLogger(__name__)

NOT_MEASURED = -999.0
DESCRIPTION, TRUTH, LABELLED, BLIND = "simulated.json", "truth.csv", "labelled", "test_dataset_updated"
PACKAGES = ("astropy", "lenstronomy", "numpy", "scipy")
"""Packages whose versions are recorded: the images come from them."""

_CHUNK_OBJECTS = 10


class Bucket(NamedTuple):
    """A labelled folder: what is drawn for it, and how its files are named."""

    name: str
    domain: Literal["slsim", "hsc"]
    is_lens: bool
    prefix: str
    id_width: int


BUCKETS = (
    Bucket("slsim_lenses", "slsim", True, "D1_L", 24),
    Bucket("slsim_nonlenses", "slsim", False, "D1_N", 23),
    Bucket("hsc_lenses", "hsc", True, "D2_L", 22),
    Bucket("hsc_nonlenses", "hsc", False, "D2_N", 22),
)


class Job(NamedTuple):
    """An object to be made; `test_number` is None for labelled ones."""

    bucket: int
    number: int
    test_number: int | None


class Made(NamedTuple):
    """An object that was made: its row of `parameters.fits`, and a hash of its files' bytes."""

    parameters: dict[str, str | float]
    digest: bytes


def simulate(out_dir: Path, settings: SimulateSettings, n_processes: int = 1) -> None:
    """Make a data set: `labelled/{bucket}/{bucket}/*.fits`, `test_dataset_updated/*.fits`, `truth.csv`.

    Each object has a random generator of its own, seeded by (seed, labelled or blind, bucket, number): the
    bytes depend neither on the number of processes nor on how many objects there are. What an earlier run
    left is removed first, and `simulated.json`, which describes the result, comes last.

    Parameters
    ----------
    out_dir : Path
        Where the folders go. Each takes its name once it is complete.
    settings : SimulateSettings
        Numbers of objects, and the seed.
    n_processes : int
        How many objects are made at a time.

    Raises
    ------
    InputError
        A file cannot be written, or one of the processes was killed.
    """
    jobs = _jobs(settings)
    (out_dir / DESCRIPTION).unlink(missing_ok=True)
    aside = out_dir / ".part"
    for stale in (out_dir / LABELLED, out_dir / BLIND, aside):
        shutil.rmtree(stale, ignore_errors=True)
    try:
        made = _write_files(aside, jobs, settings, n_processes)
        for name in (LABELLED, BLIND):
            (aside / name).rename(out_dir / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    write_text(out_dir / TRUTH, _truth(jobs, made))
    digest = hashlib.sha256(b"".join(one.digest for one in made)).hexdigest()
    n_objects = {bucket.name: settings.objects_per_bucket for bucket in BUCKETS}
    SimulatedDescription(
        settings=settings.model_dump(mode="json"),
        n_objects={**n_objects, BLIND: settings.test_objects},
        versions={package: version(package) for package in PACKAGES},
        sha256=digest,
    ).write(out_dir / DESCRIPTION)
    log.info("%s: %d objects, %d files", out_dir, len(jobs), len(jobs) * len(BANDS))


def _jobs(settings: SimulateSettings) -> list[Job]:
    jobs = [
        Job(number, index, None)
        for number in range(len(BUCKETS))
        for index in range(settings.objects_per_bucket)
    ]
    # Every bucket has its share of the blind set, in an order that tells nothing.
    shuffled = np.random.default_rng([settings.seed, 2]).permutation(settings.test_objects)
    return jobs + [Job(int(place) % len(BUCKETS), int(place), test) for test, place in enumerate(shuffled)]


def _write_files(
    out_dir: Path, jobs: Sequence[Job], settings: SimulateSettings, n_processes: int
) -> list[Made]:
    """Make and write all objects, and what lies beside them."""
    with writing(out_dir):
        for bucket in BUCKETS:
            (out_dir / LABELLED / bucket.name / bucket.name).mkdir(parents=True)
        (out_dir / BLIND).mkdir()
    made = list(
        progress(_make_all(out_dir, settings.seed, jobs, n_processes), len(jobs), "simulate", "objects")
    )
    for number, bucket in enumerate(BUCKETS):
        rows = [
            one.parameters
            for job, one in zip(jobs, made, strict=True)
            if job.bucket == number and job.test_number is None
        ]
        folder = out_dir / LABELLED / bucket.name
        if bucket.name != "slsim_nonlenses":  # the challenge has none there
            with writing(folder / "parameters.fits"):
                write_parameters(folder / "parameters.fits", rows)
        write_text(folder / "_manifest.txt", f"{len(rows)} objects in bands {' '.join(BANDS)}\n")
    return made


def _make_all(out_dir: Path, seed: int, jobs: Sequence[Job], n_processes: int) -> Iterator[Made]:
    make = partial(_make, out_dir, seed)
    if n_processes == 1:
        yield from map(make, jobs)
        return
    with worker_processes(n_processes, out_dir, _use_one_thread) as pool:
        yield from pool.map(make, jobs, chunksize=_CHUNK_OBJECTS)


def _use_one_thread() -> None:
    # numba and BLAS have threads of their own, of which a process here needs none
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _make(out_dir: Path, seed: int, job: Job) -> Made:
    bucket = BUCKETS[job.bucket]
    is_blind = job.test_number is not None
    rng = np.random.default_rng([seed, int(is_blind), job.bucket, job.number])
    made = simulate_object(rng, bucket.domain, bucket.is_lens)
    parameters = _parameters(made, bucket, rng)
    digest = hashlib.sha256()
    for band, image in zip(BANDS, made.images, strict=True):
        if is_blind:
            path = out_dir / BLIND / f"object_{job.test_number:05d}_{band}.fits"
            content = blind_bytes(image)
        else:
            path = (
                out_dir
                / LABELLED
                / bucket.name
                / bucket.name
                / f"{bucket.prefix}_{job.number:08d}_{band}.fits"
            )
            id_column = next(iter(parameters))
            content = labelled_bytes(image, band, str(parameters[id_column]), id_column, bucket.id_width)
        with writing(path):
            path.write_bytes(content)
        digest.update(content)
    return Made(parameters, digest.digest())


def _parameters(made: SimulatedObject, bucket: Bucket, rng: np.random.Generator) -> dict[str, str | float]:
    """The object's row of `parameters.fits`, with the challenge's columns and units."""
    if bucket.domain == "slsim":
        header_id = "GG-LENS_{:.4f}_{:.4f}".format(*rng.normal(0, 0.2, 2))
    else:
        header_id = str(rng.integers(36_000_000_000_000_000, 76_000_000_000_000_000))
    place = {"RA": float(rng.uniform(0, 360)), "Dec": float(rng.uniform(-60, 5))}
    deflector, system = made.system.deflector, made.system
    deflector_magnitudes = _by_band("mag_lens", deflector.magnitudes)
    if not bucket.is_lens:
        return {
            "Object ID": header_id,
            **place,
            "z_central": float(deflector.redshift),
            **deflector_magnitudes,
        }
    mass, source = system.mass, system.source
    return {
        "Lens ID": header_id,
        **place,
        "zlens": float(deflector.redshift),
        "vel disp": float(deflector.dispersion_km_s),
        "ell_m": 1 - mass.axis_ratio,
        "ell_m_PA": _position_angle(mass.angle_rad),
        "sh": mass.shear,
        "sh_PA": _position_angle(mass.shear_angle_rad),
        "Rein": mass.einstein_radius_arcsec,
        "ell_l": 1 - float(deflector.axis_ratio),
        "ell_l_PA": _position_angle(float(deflector.angle_rad)),
        "Reff_l": float(deflector.half_light_arcsec),
        "n_l_sers": float(deflector.index),
        **deflector_magnitudes,
        "zsrc": float(source.redshift),
        "srcx": system.source_x_arcsec,
        "srcy": system.source_y_arcsec,
        **_by_band("mag_src", source.magnitudes),
        "ell_s": 1 - float(source.axis_ratio),
        "ell_s_PA": _position_angle(float(source.angle_rad)),
        "Reff_s": float(source.half_light_arcsec),
        # A disc with a bulge or clumps has no single index.
        "n_s_sers": NOT_MEASURED,
    }


def _by_band(name: str, magnitudes: Floats) -> dict[str, float]:
    return {f"{name}_{band}": float(value) for band, value in zip(BANDS, magnitudes, strict=True)}


def _position_angle(angle_rad: float) -> float:
    return float(np.degrees(angle_rad)) % 180


def _truth(jobs: Sequence[Job], made: Sequence[Made]) -> str:
    """The answers for the blind set, to score with: id, label, domain, Rein."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "label", "domain", "Rein"])
    for job, one in zip(jobs, made, strict=True):
        if job.test_number is not None:
            bucket = BUCKETS[job.bucket]
            radius = f"{_number(one.parameters, 'Rein'):.4f}" if bucket.is_lens else ""
            writer.writerow([f"object_{job.test_number:05d}", int(bucket.is_lens), bucket.domain, radius])
    return text.getvalue()


def _number(row: Mapping[str, str | float], name: str) -> float:
    return float(row[name])
