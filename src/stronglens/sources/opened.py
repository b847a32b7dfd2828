"""Which kind of source a path is: by its ending, and by what the config says of it."""

from pathlib import Path

from stronglens.settings.data import BucketSettings, located
from stronglens.sources import archive, stack
from stronglens.sources.archive import ArchiveSource
from stronglens.sources.checked import NonFinite
from stronglens.sources.files import FileSource
from stronglens.sources.protocol import Source
from stronglens.sources.stack import StackSource
from stronglens.sources.table import TableSource, is_table
from stronglens.sources.tiles import TilesSource


def open_source(
    bucket: BucketSettings,
    size_px: int,
    bands: list[str],
    scratch: Path | None = None,
    non_finite: NonFinite = "reject",
) -> Source:
    """The source that a path of the config is.

    Parameters
    ----------
    bucket : BucketSettings
        The path, and how it is read.
    size_px : int
        Side of a cutout in pixels.
    bands : list of str
        The configured bands.
    scratch : Path, optional
        Folder for what must be unpacked before it is read; not given where nothing will be read.
    non_finite : "reject" or "fill"
        What becomes of cutouts with pixels that are not finite.
    """
    path = located(bucket.path)
    if bucket.tiles is not None:
        return TilesSource(bucket, path, bands, size_px, non_finite)
    settings = bucket
    if bucket.band_axis is not None and bucket.axis_bands is None:
        settings = bucket.model_copy(update={"axis_bands": bands})
    name = path.name.lower()
    if name.endswith(archive.ENDINGS):
        return ArchiveSource(path, size_px, settings, scratch)
    if name.endswith(stack.ENDINGS) and not (name.endswith(".parquet") and _has_paths(path, settings)):
        return StackSource(path, size_px, settings, tuple(bands))
    if not path.is_dir() and is_table(path, settings):
        return TableSource(path, size_px, settings)
    return FileSource(path, size_px, settings)


def _has_paths(path: Path, settings: BucketSettings) -> bool:
    """Whether a Parquet file is a table of files, not a stack of images."""
    if "image" in (settings.columns or {}) or isinstance(settings.hdu, dict) or not path.is_file():
        return False
    from pyarrow import ArrowInvalid, parquet  # noqa: PLC0415 - takes long to load

    try:
        return settings.column("path") in parquet.read_schema(path).names
    except (OSError, ArrowInvalid):
        return False
