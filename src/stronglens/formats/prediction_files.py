"""The files of a member's predictions: what describes them, and the table and arrays, as they come."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import ConfigDict, Field

from stronglens.formats.artefact import sha256_of, write_aside, writing
from stronglens.formats.sidecar import Sidecar
from stronglens.formats.tables import write_names, write_rows
from stronglens.running.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Which = Literal["train", "val", "test"]
"""Names the files; `train` are the objects that the members have learnt from, for who learns from them."""

_COLUMNS = ("path", "domain", "label", "prob", "pred", "object", "band")
_ARRAYS = {"labels": ("label", "<i8"), "probs": ("prob", "<f8"), "preds": ("pred", "<i8")}
"""Column and type of each array."""


@dataclass(frozen=True, order=True)
class Member:
    """A trained network: model, seed and the SHA-256 of its weights; and whether it saw all symmetries."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    model: str
    seed: int
    weights_sha256: str
    test_time_augmentation: bool = False

    def __str__(self) -> str:
        return f"{self.model} seed {self.seed}"

    def as_dict(self) -> dict[str, str | int]:
        """The member in JSON."""
        augmented = {"test_time_augmentation": True} if self.test_time_augmentation else {}
        return {"model": self.model, "seed": self.seed, "weights_sha256": self.weights_sha256, **augmented}


@dataclass(frozen=True)
class Prediction:
    """The predictions of one member for one packed data set.

    Attributes
    ----------
    csv : Path
        The table of samples.
    stated_in : Path
        The JSON file beside it.
    csv_sha256 : str
        What that file states of the table.
    member : Member
        Who made them.
    cutouts_sha256, index_sha256 : str
        From which cutouts, and from which index of them.
    objects_sha256 : str or None
        With which split; None where all objects were predicted.
    n_samples : int
        Rows of the table.
    estimated : tuple of str
        Lens parameters that the member estimates, each a column of the table.
    bands : frozenset of str or None
        The bands that the member looks at; None where it looks at every cutout.
    uncertain : bool
        Whether a column `{name}_std` follows each parameter.
    """

    csv: Path
    stated_in: Path
    csv_sha256: str
    member: Member
    cutouts_sha256: str
    index_sha256: str
    objects_sha256: str | None
    n_samples: int
    estimated: tuple[str, ...] = ()
    bands: frozenset[str] | None = None
    uncertain: bool = False

    @property
    def made_from(self) -> tuple[str, str]:
        """The packed data set, as `stronglens.formats.packed.PackedObjects.identity` gives it."""
        return self.cutouts_sha256, self.index_sha256


class PredictionDescription(Sidecar):
    """What `pred_val.json`, or that of another split, says of a member's predictions."""

    KIND: ClassVar[str] = "the description of predictions"

    which: str
    """Names the files: train, val or test."""
    model: str
    """Name of the member's model."""
    seed: int
    weights_sha256: str
    """SHA-256 of the weights that predicted."""
    cutouts_sha256: str
    index_sha256: str
    """SHA-256 of the cutouts and of the index of the packed data that were predicted."""
    objects_sha256: str | None
    """That of the table of splits; None where the whole set was predicted."""
    n_samples: int
    """Rows of the table."""
    sha256: dict[str, str]
    """SHA-256 of the table, by its name."""
    n_objects: int | None = None
    bands: Literal["each"] | list[str] = "each"
    """Bands that the member looks at; `each`: every cutout."""
    test_time_augmentation: bool = False
    """Whether probabilities are means over all symmetries."""
    lens_parameters: list[str] = Field(default_factory=list)
    """Lens parameters that are estimated, each a column of the table."""
    uncertainties: bool = False
    """Whether each is followed by a column `{name}_std`, its standard deviation, not calibrated."""
    computed: dict[str, Any] | None = Field(None, exclude_if=lambda value: value is None)
    """On a GPU: card, PyTorch, precision, batch, whether the network was compiled, and whether the same bytes
    come out again."""

    @property
    def member(self) -> Member:
        """Who made them."""
        return Member(self.model, self.seed, self.weights_sha256, self.test_time_augmentation)

    @property
    def made_from(self) -> tuple[str, str]:
        """The packed data set, as `stronglens.formats.packed.PackSummary.identity` gives it."""
        return self.cutouts_sha256, self.index_sha256


def description_name(which: str) -> str:
    """Name of the file that describes predictions."""
    return f"pred_{which}.json"


def open_prediction(folder: Path, which: Which) -> Prediction:
    """Read what a folder of predictions says of itself.

    Parameters
    ----------
    folder : Path
        Holds `pred_{which}.csv` and `pred_{which}.json`.
    which : "val" or "test"
        Which of them.

    Raises
    ------
    InputError
        The JSON file is missing or damaged, or speaks of other predictions.
    """
    path, csv = folder / description_name(which), folder / f"pred_{which}.csv"
    stated = PredictionDescription.read(path)
    if stated.which != which:
        raise InputError(f"{path}: expected predictions of {which}, found {stated.which}")
    if csv.name not in stated.sha256:
        raise InputError(f"{path}: expected the sha256 of {csv.name}, found none")
    return Prediction(
        csv=csv,
        stated_in=path,
        csv_sha256=stated.sha256[csv.name],
        member=stated.member,
        cutouts_sha256=stated.cutouts_sha256,
        index_sha256=stated.index_sha256,
        objects_sha256=stated.objects_sha256,
        n_samples=stated.n_samples,
        estimated=tuple(stated.lens_parameters),
        bands=None if stated.bands == "each" else frozenset(stated.bands),
        uncertain=stated.uncertainties,
    )


class PredictionFiles:
    """Files to which predictions are added: a table in CSV, and arrays beside it.

    Parameters
    ----------
    asides : mapping of Path to Path
        Where to write each file meanwhile, by its final name: the table's first, then those of `_ARRAYS`.
    n_samples : int
        How many are going to be added.
    estimates : sequence of str
        Columns of the lens parameters that are estimated.
    """

    def __init__(self, asides: Mapping[Path, Path], n_samples: int, estimates: Sequence[str]) -> None:
        self._asides = asides
        self._csv_path, *self._npy_paths = asides
        self.n_samples = 0
        self.n_objects = 0
        self._last_object: str | None = None
        with writing(self._csv_path), asides[self._csv_path].open("wb") as binary:
            write_names(binary, [*_COLUMNS, *estimates])
        for path, (_, kind) in zip(self._npy_paths, _ARRAYS.values(), strict=True):
            header = {"descr": kind, "fortran_order": False, "shape": (n_samples,)}
            with writing(path), asides[path].open("wb") as binary:
                np.lib.format.write_array_header_1_0(binary, header)

    def add(
        self,
        table: "pd.DataFrame",
        probs: npt.NDArray[np.float64],
        estimates: Mapping[str, npt.NDArray[np.float64]],
    ) -> None:
        """Add the predictions of some samples; those of an object come one after the other.

        Parameters
        ----------
        table : DataFrame
            path, domain, label, object, band.
        probs : ndarray of float64, shape (n_samples,)
            Of being a lens.
        estimates : mapping of str to ndarray of float64, shape (n_samples,)
            Lens parameters, by the names of their columns, in this order.
        """
        rows = table.assign(prob=probs, pred=(probs >= 0.5).astype(np.int64))[list(_COLUMNS)]
        rows = rows.assign(**estimates)
        # Closed each time: what a full disk does not take is told here, with the name of its file.
        aside = self._asides[self._csv_path]
        with writing(self._csv_path), aside.open("ab") as binary:
            write_rows(binary, pa.Table.from_pandas(rows, preserve_index=False))
        for path, (column, kind) in zip(self._npy_paths, _ARRAYS.values(), strict=True):
            with writing(path), self._asides[path].open("ab") as binary:
                binary.write(rows[column].to_numpy(kind).tobytes())
        objects = rows["object"].to_numpy()
        self.n_samples += len(rows)
        self.n_objects += len(np.unique(objects)) - int(self._last_object in objects[:1])
        self._last_object = objects[-1]


@contextmanager
def prediction_files(
    out_dir: Path, which: str, n_samples: int, origin: Mapping[str, Any], estimates: Sequence[str] = ()
) -> Iterator[PredictionFiles]:
    """Give files for the predictions of so many samples; they take their names once all are there.

    Writes `pred_{which}.csv` (path, domain, label, prob, pred, object, band, and a column for each lens
    parameter), the same but for these as `labels_{which}.npy`, `probs_{which}.npy`, `preds_{which}.npy`, and
    `pred_{which}.json`, which describes them, last.

    Parameters
    ----------
    out_dir : Path
        Where they go.
    which : str
        Names them.
    n_samples : int
        How many are going to be added.
    origin : mapping
        What made the predictions: the fields of `PredictionDescription` that are not known here.
    estimates : sequence of str
        Columns of the lens parameters that are estimated.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    csv_path = out_dir / f"pred_{which}.csv"
    paths = [csv_path, *(out_dir / f"{name}_{which}.npy" for name in _ARRAYS)]
    with ExitStack() as stack:
        asides = {path: stack.enter_context(write_aside(path)) for path in paths}
        files = PredictionFiles(asides, n_samples, estimates)
        yield files
        if files.n_samples != n_samples:
            raise RuntimeError(f"{csv_path}: expected {n_samples} samples, found {files.n_samples}")
    stated = {
        **origin,
        "which": which,
        "n_samples": files.n_samples,
        "n_objects": files.n_objects,
        "sha256": {csv_path.name: sha256_of(csv_path)},
    }
    PredictionDescription.model_validate(stated).write(out_dir / description_name(which))
