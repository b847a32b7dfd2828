"""The page of candidates: its data, its pictures, and the files that are the same for every run."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import compute

from stronglens.candidates.choose import View, best, mistakes, shown_rows, uncertain
from stronglens.candidates.pictures import (
    BANDS,
    COLOUR,
    Pixels,
    balances,
    band_pictures,
    colour_composites,
    light_ratios,
    save_sheet,
    side_by_side,
    usual_flux,
)
from stronglens.ensembling.scored_set import ScoredSet, open_scored, row_ids
from stronglens.formats.artefact import write_folder_aside, write_text
from stronglens.formats.known_lenses import known_by_object, read_known
from stronglens.formats.packed import CUTOUTS, PackedSet, open_packed
from stronglens.formats.tables import TEXT
from stronglens.running.errors import InputError
from stronglens.running.progress import progress
from stronglens.settings.products import CandidatesSettings

log = logging.getLogger(__name__)

PAGE, DATA, IMAGES = "index.html", "data.js", "images"
"""Names of files and of the folder of pictures."""

_FILES = Path(__file__).parent / "static"
_DIGITS = 6
_DIGITS_SKY = 6  # of a degree: 0.004 arcsec
_MOST_MEASURED = 500
"""Objects of each data set from which the usual flux is taken."""


@dataclass(frozen=True)
class Shown:
    """Objects of one data set that the page shows.

    Attributes
    ----------
    name : str
        Of the data set.
    key : str
        Under which the browser keeps their grades: the same as long as the cutouts are.
    ids : list of str
        As in `submission.csv`.
    columns : dict of str to list
        What the page says of each: prob, pred, std, domain, label, known, ra, dec.
    objects : list of str
        Keys of the objects in the packed data.
    views : sequence of View
        Rows count from 0 among these objects.
    packed : sequence of PackedSet
        Where their cutouts lie.
    """

    name: str
    key: str
    ids: list[str]
    columns: dict[str, list[Any]]
    objects: list[str]
    views: Sequence[View]
    packed: Sequence[PackedSet]


def make_page(
    test_csv: Path,
    packed_folders: Sequence[Path],
    heldout_csv: Path,
    labelled_folder: Path,
    out_dir: Path,
    settings: CandidatesSettings,
    *,
    ensemble: str,
    testset: str,
    simulated: bool = False,
    known_lenses: Path | None = None,
    pixel_scale_arcsec: float | None = None,
) -> None:
    """Write the page of candidates: `index.html`, what it loads, `data.js`, and pictures in `images/`.

    Parameters
    ----------
    test_csv : Path
        The ensemble's table of the test set.
    packed_folders : sequence of Path
        The parts of the packed test set.
    heldout_csv, labelled_folder : Path
        The ensemble's table of the held-out objects, and the packed data that hold them.
    out_dir : Path
        Folder for the files; its `images/` is made anew.
    settings : CandidatesSettings
        How many objects, and how colours are made.
    ensemble, testset : str
        Their names, for the page.
    simulated : bool
        Whether the page says that the data are simulated.
    known_lenses : Path, optional
        `known_lenses.csv` of the test set: its objects are marked or, as the settings say, left out.
    pixel_scale_arcsec : float, optional
        Side of a pixel, for the scale bar, which is in pixels without it.

    Raises
    ------
    InputError
        A file is missing, malformed, or not what the JSON beside it describes; an object has no cutout.
    """
    test, heldout = open_scored(test_csv), open_scored(heldout_csv)
    parts = [open_packed(folder) for folder in packed_folders]
    labelled = open_packed(labelled_folder)
    known = {} if known_lenses is None else known_by_object(read_known(known_lenses)[0])
    chosen = _without(test, known) if settings.leave_out_known else test
    shown = [
        _shown(
            testset,
            chosen,
            [best(chosen, settings.n_best), uncertain(chosen, settings.n_uncertain)],
            parts,
            known,
        ),
        _shown("heldout", heldout, mistakes(heldout, settings.n_mistakes), [labelled]),
    ]
    bands = list(labelled.summary.bands)
    drawn = _write_images(out_dir / IMAGES, shown, bands, settings)
    for path in sorted(_FILES.iterdir()):
        if path.name != PAGE:
            write_text(out_dir / path.name, path.read_text(encoding="utf-8"))
    write_text(
        out_dir / DATA,
        _as_script(
            {
                "ensemble": ensemble,
                "testset": testset,
                "simulated": simulated,
                "threshold": test.threshold,
                "members": [str(member) for member in test.ensemble.description.members],
                "sizePx": int(labelled.cutouts.shape[1]),
                "pixelScaleArcsec": pixel_scale_arcsec,
                "balances": drawn.balances,
                "bands": bands,
                "colours": settings.colours(bands),
                "sheets": {
                    sheet.name: {"across": sheet.n_across, "each": sheet.n_each} for sheet in (COLOUR, BANDS)
                },
                **_items(shown, drawn.columns),
            }
        ),
    )
    write_text(out_dir / PAGE, (_FILES / PAGE).read_text(encoding="utf-8"))
    log.info("%s: %d objects", out_dir / PAGE, len(drawn.columns["bands"]))


def _without(scored: ScoredSet, known: Mapping[str, str]) -> ScoredSet:
    """A test set without lenses that are known already."""
    ids = row_ids(scored.table, scored.ensemble.level)
    new = compute.invert(compute.is_in(ids, value_set=pa.array(known, TEXT)))
    return replace(scored, table=scored.table.filter(new))


def _shown(
    name: str,
    scored: ScoredSet,
    views: Sequence[View],
    packed: Sequence[PackedSet],
    known: Mapping[str, str] | None = None,
) -> Shown:
    rows = shown_rows(views)
    table = scored.table.take(rows)
    index_of = {int(row): number for number, row in enumerate(rows)}
    hashes = "".join(one.summary.sha256[CUTOUTS] for one in packed)
    ids = row_ids(table, scored.ensemble.level).to_pylist()
    return Shown(
        name=name,
        key=f"{name}-{hashlib.sha256(hashes.encode()).hexdigest()[:16]}",
        ids=ids,
        columns={
            "prob": [round(value, _DIGITS) for value in table["prob"].to_pylist()],
            # Of the probability in full: what is rounded may lie on the other side of t*.
            "pred": (scored.probs[rows] >= scored.threshold).astype(int).tolist(),
            "std": [round(value, _DIGITS) for value in table["prob_std"].to_pylist()],
            "domain": table["domain"].to_pylist(),
            "label": table["label"].to_pylist(),
            "known": [(known or {}).get(one, "") for one in ids],
            **_coordinates(table["object"].to_pylist(), packed),
        },
        objects=table["object"].to_pylist(),
        views=[
            View(
                view.key, view.name, view.says, np.array([index_of[int(row)] for row in view.rows], np.int64)
            )
            for view in views
        ],
        packed=packed,
    )


def _coordinates(objects: Sequence[str], packed: Sequence[PackedSet]) -> dict[str, list[float | None]]:
    """Right ascension and declination of objects in degrees; None where unknown."""
    columns = ["object", "ra", "dec"]
    parts = [one.index[columns] for one in packed if set(columns) <= set(one.index.columns)]
    known = pd.concat([pd.DataFrame(columns=columns), *(part.dropna() for part in parts)])
    first = known.drop_duplicates("object").set_index("object").reindex(list(objects))
    return {
        name: [None if pd.isna(value) else round(float(value), _DIGITS_SKY) for value in first[name]]
        for name in ("ra", "dec")
    }


def _items(shown: Sequence[Shown], drawn: Mapping[str, list[Any]]) -> dict[str, Any]:
    """All objects, column by column, with columns learnt in drawing them; and the views of them."""
    items: dict[str, list[Any]] = {"id": [], "set": [], **drawn}
    views = []
    for number, one in enumerate(shown):
        start = len(items["id"])
        items["id"] += one.ids
        items["set"] += [number] * len(one.ids)
        for name, values in one.columns.items():
            items.setdefault(name, []).extend(values)
        views += [
            {"key": view.key, "name": view.name, "says": view.says, "items": (start + view.rows).tolist()}
            for view in one.views
        ]
    sets = [{"name": one.name, "key": one.key} for one in shown]
    return {"sets": sets, "views": views, "items": items}


def _as_script(content: Mapping[str, Any]) -> str:
    """A page that is opened from disk may load scripts, but no JSON."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return f"const CANDIDATES = {text};\n"


@dataclass(frozen=True)
class Drawn:
    """What drawing the pictures found.

    Attributes
    ----------
    balances : dict of str to list of float
        Factors of red, green and blue, by the balance that they give.
    columns : dict of str to list
        For each object: `bands`, which it has, as a number with a bit a band; `red` and `blue`, the light in
        these relative to green.
    """

    balances: dict[str, list[float]]
    columns: dict[str, list[Any]]


def _write_images(
    folder: Path, shown: Sequence[Shown], bands: Sequence[str], settings: CandidatesSettings
) -> Drawn:
    """Write all sheets of pictures."""
    colour_bands = [bands.index(band) for band in settings.colours(list(bands))]
    n_objects = sum(len(one.objects) for one in shown)
    sample = np.concatenate([_sample(one, bands) for one in shown])
    usual = usual_flux(sample)
    columns: dict[str, list[Any]] = {"bands": [], "red": [], "blue": []}
    with write_folder_aside(folder) as aside:
        colour, grey = _Filler(aside, COLOUR.name), _Filler(aside, BANDS.name)
        for cutouts in progress(_blocks(shown, bands), -(-n_objects // BANDS.n_each), "pictures", "blocks"):
            there = ~np.isnan(cutouts[:, :, 0, 0])
            columns["bands"] += (there @ (1 << np.arange(len(bands)))).tolist()
            for name, ratios in zip(
                ("red", "blue"), light_ratios(cutouts, colour_bands, usual).T, strict=True
            ):
                columns[name] += np.round(ratios, 2).tolist()
            colour.add(colour_composites(cutouts, colour_bands, usual, settings.stretch, settings.softening))
            grey.add(side_by_side(band_pictures(cutouts)))
        colour.end()
        grey.end()
    return Drawn(balances(sample, colour_bands, usual), columns)


class _Filler:
    """Fills the files of a sheet one after the other."""

    def __init__(self, folder: Path, name: str) -> None:
        self._sheet = {COLOUR.name: COLOUR, BANDS.name: BANDS}[name]
        self._folder = folder
        self._waiting: list[Pixels] = []
        self._number = 0

    def add(self, pictures: Pixels) -> None:
        self._waiting.append(pictures)
        while sum(map(len, self._waiting)) >= self._sheet.n_each:
            together = np.concatenate(self._waiting)
            self._save(together[: self._sheet.n_each])
            self._waiting = [together[self._sheet.n_each :]]

    def end(self) -> None:
        if sum(map(len, self._waiting)):
            self._save(np.concatenate(self._waiting))

    def _save(self, pictures: Pixels) -> None:
        save_sheet(self._folder, self._sheet, self._number, pictures)
        self._number += 1


def _blocks(shown: Sequence[Shown], bands: Sequence[str]) -> Iterator[npt.NDArray[np.float32]]:
    """Cutouts of all objects in their order, some at a time: shape (n_objects, n_bands, size_px, size_px),
    NaN where there is none.
    """
    for one in shown:
        rows = _rows_of(one, bands)
        for start in range(0, len(rows), BANDS.n_each):
            yield _gather(one, rows[start : start + BANDS.n_each], bands)


def _sample(one: Shown, bands: Sequence[str]) -> npt.NDArray[np.float32]:
    """Cutouts of some objects, evenly spaced."""
    rows = _rows_of(one, bands)
    spread = np.linspace(0, len(rows) - 1, min(_MOST_MEASURED, len(rows))).astype(np.int64)
    return _gather(one, [rows[index] for index in spread], bands)


def _rows_of(one: Shown, bands: Sequence[str]) -> list[dict[int, tuple[int, int]]]:
    """For each object: the part and the row of each band it has, by the number of the band."""
    found: dict[str, dict[int, tuple[int, int]]] = {name: {} for name in one.objects}
    number_of = {band: number for number, band in enumerate(bands)}
    for part, packed in enumerate(one.packed):
        index = packed.index
        chosen = index["object"].isin(list(found))
        for row, name, band in zip(
            np.flatnonzero(chosen), index.loc[chosen, "object"], index.loc[chosen, "band"], strict=True
        ):
            found[name][number_of[band]] = (part, int(row))
    lost = next((name for name, rows in found.items() if not rows), None)
    if lost is not None:
        folders = ", ".join(str(packed.folder) for packed in one.packed)
        raise InputError(f"{folders}: expected the cutouts of {lost}, which has a probability; found none")
    return [found[name] for name in one.objects]


def _gather(
    one: Shown, rows: Sequence[dict[int, tuple[int, int]]], bands: Sequence[str]
) -> npt.NDArray[np.float32]:
    size_px = one.packed[0].cutouts.shape[1]
    block = np.full((len(rows), len(bands), size_px, size_px), np.nan, dtype=np.float32)
    for number, of_object in enumerate(rows):
        for band, (part, row) in of_object.items():
            block[number, band] = one.packed[part].cutouts[row]
    return block
