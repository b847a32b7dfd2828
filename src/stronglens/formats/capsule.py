"""A capsule: one file with an ensemble, its preprocessing, weights, calibration and t*, and what made them.

It is a ZIP archive without compression, so that any program lists it. Equal content gives equal bytes. Its
last bytes, the archive's comment, are the SHA-256 of all before them: whatever was changed is seen, and the
hashes in the manifest name the file it was changed in. Nothing in a capsule is run to read it.
"""

import hashlib
import json
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from stronglens.formats.artefact import write_aside
from stronglens.running.errors import InputError
from stronglens.settings.base import Settings
from stronglens.settings.member import MemberSettings

FORMAT: Final = 1

MANIFEST, CARD, GRAPH = "manifest.json", "model_card.md", "ensemble.onnx"
"""Names of files in a capsule; weights are in `weights/`."""

_SEAL = b"stronglens capsule sha256:"
_LARGEST_MANIFEST = 64 * 2**20
_WRITTEN = (1980, 1, 1, 0, 0, 0)
"""The time that files of a capsule bear, the first that a ZIP archive can state."""

Sha256 = str


class Scaling(Settings):
    """The units in which a network estimates lens parameters (see `stronglens.networks.lens_scaling`)."""

    names: tuple[str, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]


class CapsuleMember(Settings):
    """A trained network, and what it was trained on."""

    model: str
    seed: int
    settings: MemberSettings
    """Network, bands, preprocessing with what training measured for it, and training."""
    weights: str = Field(pattern=r"^weights/[A-Za-z0-9_]+\.safetensors$")
    """File of the weights in the capsule."""
    weights_sha256: Sha256
    """Of the `best.pt` that they were taken from, as the workflow's records state it."""
    test_time_augmentation: bool = False
    """Whether the mean over the eight symmetries of the square is taken."""
    lens_scaling: Scaling | None = None
    """Units of its estimates of lens parameters, if it gives some."""
    trained_in: str | None = Field(None, exclude_if=lambda value: value is None)
    """What `precision: auto` was chosen to be on a GPU, where that is not what it is by the card."""
    trained_on: dict[str, str | None] = Field({})
    """SHA-256 of the cutouts, their index and their split; without values where it was trained elsewhere."""

    @property
    def estimated(self) -> tuple[str, ...]:
        """Lens parameters that it estimates."""
        return () if self.lens_scaling is None else self.lens_scaling.names

    def __str__(self) -> str:
        return f"{self.model} seed {self.seed}"


class Teacher(Settings):
    """The ensemble whose probabilities the networks have learnt, and what they lose on held-out ones.

    Each of the last three is, by name of the metric, its value and interval (None where undefined).
    """

    name: str
    n_members: int = Field(ge=1)
    n_objects: int = Field(ge=1)
    """Held-out objects that both have scored."""
    own: dict[str, dict[str, Any]]
    reference: dict[str, dict[str, Any]]
    """Of the teacher."""
    lost: dict[str, dict[str, Any]]
    """The teacher's less its own, with intervals from objects that are drawn for both alike."""


class File(Settings):
    """A file in a capsule."""

    sha256: Sha256 = Field(pattern="^[0-9a-f]{64}$")
    n_bytes: int = Field(ge=0)


class Manifest(Settings):
    """What a capsule says of itself: `manifest.json`."""

    format: Literal[1] = FORMAT
    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    """Of the ensemble."""
    bands: list[str] = Field(min_length=1)
    """Bands in their order, each a word of letters and digits."""
    size_px: int = Field(ge=1, le=1024)
    """Side of a cutout."""
    pixel_scale_arcsec: float | None = Field(None, gt=0)
    """Side of a pixel; `null` where it was not stated."""
    non_finite: Literal["reject", "fill"]
    """What becomes of a cutout with pixels that are not finite: it counts as missing, or gets the median of
    its others."""
    simulated: bool
    """Whether the labelled data are those of the embedded simulation."""
    members: list[CapsuleMember] = Field(min_length=1)
    """In the order of the combination."""
    combination: dict[str, Any]
    """How members become one probability: `stronglens.ensembling.combination.Combination`."""
    width_factors: dict[str, Annotated[float, Field(gt=0)]] = Field({}, exclude_if=lambda value: not value)
    """By lens parameter, what widths of its estimates are multiplied by; empty where members give none."""
    threshold: float = Field(ge=0, le=1)
    """t*: an object is a candidate where its probability is at least this."""
    threshold_interval: tuple[float, float] | None
    """Of 95 % confidence."""
    scores: dict[str, dict[str, Any]]
    """Metrics at t* with intervals, of `val` and `heldout`; in each `global` and `domain::NAME`."""
    completeness: list[dict[str, Any]] = Field([])
    """Completeness of the held-out lenses by bins of their properties, where those are known."""
    drift: dict[str, Any] = Field({})
    """How test sets differ from the training set, by their names, where that was measured."""
    teacher: Teacher | None = Field(None, exclude_if=lambda value: value is None)
    """What all members have learnt from, if that is an ensemble."""
    data: dict[str, Any]
    """The labelled data: SHA-256, counts of objects."""
    code: dict[str, Any]
    """SHA-256 and git revision of the code."""
    versions: dict[str, str]
    """Of Python and packages that made the capsule."""
    licence: str
    """Of the weights."""
    citation: str
    """What to cite."""
    files: dict[Annotated[str, Field(pattern=r"^(weights/)?\w[\w.-]*$")], File]
    """Every other file of the capsule."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        odd = [band for band in self.bands if not (band.isascii() and band.isalnum())]
        if odd or len(set(self.bands)) < len(self.bands):
            raise ValueError(
                f"bands: expected different words of letters and digits, found {', '.join(self.bands)}"
            )
        for member in self.members:
            seen = member.settings.bands
            if not isinstance(seen, str) and not set(seen) <= set(self.bands):
                known = ", ".join(self.bands)
                raise ValueError(f"{member}: expected bands of the capsule, {known}, found {', '.join(seen)}")
        uncertain = {
            name for member in self.members if member.settings.has_uncertainties for name in member.estimated
        }
        if uncertain != set(self.width_factors):
            raise ValueError(
                f"width_factors: expected those of {', '.join(sorted(uncertain)) or 'no parameter'}, "
                f"found {', '.join(sorted(self.width_factors)) or 'none'}"
            )
        if len({(member.model, member.seed) for member in self.members}) < len(self.members):
            raise ValueError("members: expected each once, found one twice")
        lacking = {member.weights for member in self.members} - set(self.files)
        if lacking:
            raise ValueError(
                f"expected every file of weights among files, found no {', '.join(sorted(lacking))}"
            )
        return self


@dataclass(frozen=True)
class Capsule:
    """A capsule that was read: checked as a whole, its weights not yet loaded.

    Attributes
    ----------
    path : Path
        The file.
    manifest : Manifest
        What it says of itself.
    """

    path: Path
    manifest: Manifest

    def read(self, name: str) -> bytes:
        """The content of a file in it, checked once more: the capsule may have been replaced meanwhile.

        Raises
        ------
        InputError
            There is no such file, or it is not the one that the manifest states.
        """
        stated = self.manifest.files.get(name)
        if stated is None:
            raise InputError(f"{self.path}: expected a file {name} in the capsule, found none")
        with _opened(self.path) as (_, archive):
            content = _content_of(self.path, archive, name)
        _check(self.path, name, content, stated)
        return content


def write_capsule(path: Path, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Manifest:
    """Write a capsule; equal content gives equal bytes.

    Parameters
    ----------
    path : Path
        The file.
    manifest : mapping
        Fields of `Manifest` but `files`.
    files : mapping of str to bytes
        Content by name.

    Returns
    -------
    Manifest
        What was written.
    """
    listed = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "n_bytes": len(content)}
        for name, content in sorted(files.items())
    }
    checked = Manifest.model_validate({**manifest, "files": listed})
    stated = checked.model_dump(mode="json")
    text = json.dumps(stated, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    with write_aside(path) as aside:
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
            for name, content in ((MANIFEST, text.encode()), *sorted(files.items())):
                entry = zipfile.ZipInfo(name, _WRITTEN)
                entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Linux, wherever it is made
                archive.writestr(entry, content)
            archive.comment = _SEAL + b"0" * 64
        with aside.open("r+b") as stream:
            digest = _sealed_digest(stream)
            stream.seek(-64, os.SEEK_END)
            stream.write(digest.encode())
    return checked


def read_capsule(path: Path) -> Capsule:
    """Open a capsule and check every byte of it.

    Raises
    ------
    InputError
        The file is missing, is no capsule, is one of a newer format, or was changed since it was made: then
        the files that differ are named.
    """
    with _opened(path) as (stream, archive):
        seal = archive.comment
        if len(seal) != len(_SEAL) + 64 or not seal.startswith(_SEAL):
            raise InputError(
                f"{path}: expected a capsule, found another ZIP archive, or one whose end was changed"
            )
        is_whole = seal[-64:] == _sealed_digest(stream).encode()
        # What is wrong inside is more than that something is.
        manifest = _manifest_of(path, archive, is_whole=is_whole)
        entries = [entry.filename for entry in archive.infolist()]
        if sorted(entries) != sorted([MANIFEST, *manifest.files]):
            odd = sorted(set(entries) ^ {MANIFEST, *manifest.files}) or sorted(entries)
            raise _changed(
                path, f"expected the files that {MANIFEST} lists, found others: {', '.join(odd[:3])!r}"
            )
        for name, stated in manifest.files.items():
            _check(path, name, _content_of(path, archive, name), stated)
        if not is_whole:
            raise _changed(path, f"found {MANIFEST}, or what the archive says of its files, changed")
    return Capsule(path, manifest)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, zipfile.ZipFile]]:
    """The file and the archive that it is."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: expected a capsule, found none ({error.strerror})") from error
    with stream:
        try:
            archive = zipfile.ZipFile(stream)
        except Exception as error:  # zipfile raises errors of many kinds for what it does not know
            raise InputError(
                f"{path}: expected a capsule, found no ZIP archive, or one that was changed or cut short "
                f"({error})"
            ) from error
        yield stream, archive


def _sealed_digest(stream: BinaryIO) -> Sha256:
    """SHA-256 of all bytes but the last 64, which state it."""
    left = stream.seek(0, os.SEEK_END) - 64
    stream.seek(0)
    digest = hashlib.sha256()
    while left > 0 and (block := stream.read(min(left, 2**20))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()


def _content_of(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        entry = archive.getinfo(name)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _changed(path, f"{name}: expected a file, found a link")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise _changed(path, f"{name}: expected a file without compression, found another")
        return archive.read(entry)
    except InputError:
        raise
    except Exception as error:
        raise _changed(path, f"{name}: {error or type(error).__name__}") from error


def _manifest_of(path: Path, archive: zipfile.ZipFile, *, is_whole: bool) -> Manifest:
    if MANIFEST not in archive.namelist():
        raise _changed(path, f"found no {MANIFEST}")
    if archive.getinfo(MANIFEST).file_size > _LARGEST_MANIFEST:
        raise _changed(path, f"{MANIFEST}: found more than {_LARGEST_MANIFEST} bytes")
    content = _content_of(path, archive, MANIFEST)
    try:
        stated = json.loads(content)
        number = stated["format"] if isinstance(stated, dict) else None
    except (ValueError, KeyError, RecursionError) as error:
        raise _changed(path, f"{MANIFEST}: expected JSON with a format number, found: {error}") from error
    if is_whole and isinstance(number, int) and number > FORMAT:
        raise InputError(
            f"{path}: expected a capsule of format {FORMAT} or older, found format {number}; "
            "install a newer stronglens"
        )
    try:
        return Manifest.model_validate(stated)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise _changed(path, f"{MANIFEST}: {place}: {first['msg']}") from error


def _check(path: Path, name: str, content: bytes, stated: File) -> None:
    if len(content) != stated.n_bytes or hashlib.sha256(content).hexdigest() != stated.sha256:
        raise _changed(path, f"{name}: expected sha256 {stated.sha256[:12]}…, found another")


def _changed(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}; the capsule was changed since it was made: fetch or make it again")
