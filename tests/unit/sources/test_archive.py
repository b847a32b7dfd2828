"""Archives: members are found and read as `tarfile` and `zipfile` do."""

import io
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fits_files import primary_bytes
from stronglens.running.errors import InputError
from stronglens.settings.reading import ReadSettings
from stronglens.sources.archive import ArchiveSource
from stronglens.sources.protocol import Reading, Request
from stronglens.sources.rejected import Rejected

SIDE = 5
IMAGES = np.random.default_rng(1).normal(0, 1, (3, SIDE, SIDE))
FILES = {f"set/ö{number}_g.fits": primary_bytes(image) for number, image in enumerate(IMAGES)}


def write_tar(path: Path, files: dict[str, bytes] = FILES) -> Path:
    mode: Any = f"w:{path.suffix[1:].replace('tgz', 'gz').replace('tar', '')}"
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_zip(path: Path, files: dict[str, bytes] = FILES, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("set/", "")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


class Unseekable(io.RawIOBase):
    """Where a zip file is written as a stream: sizes and checksums follow their members."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return self._file.write(content)

    def close(self) -> None:
        self._file.close()
        super().close()


def write_zip_stream(path: Path) -> Path:
    with Unseekable(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    return path


WRITERS = {
    "tar": lambda folder: write_tar(folder / "a.tar"),
    "tar.gz": lambda folder: write_tar(folder / "a.tar.gz"),
    "tgz": lambda folder: write_tar(folder / "a.tgz"),
    "tar.bz2": lambda folder: write_tar(folder / "a.tar.bz2"),
    "tar.xz": lambda folder: write_tar(folder / "a.tar.xz"),
    "zip": lambda folder: write_zip(folder / "a.zip"),
    "stored": lambda folder: write_zip(folder / "a.ZIP", method=zipfile.ZIP_STORED),
    "stream": lambda folder: write_zip_stream(folder / "a.zip"),
}


def source_of(path: Path, scratch: Path | None = None) -> ArchiveSource:
    return ArchiveSource(path, SIDE, ReadSettings(), scratch)


def read(source: ArchiveSource) -> dict[str, Reading | Rejected]:
    entries = list(source.entries())
    requests = [Request(entry.path, entry.position, "g") for entry in entries]
    # As it is sent to another process.
    reader = pickle.loads(pickle.dumps(source)).reader()  # noqa: S301
    return dict(zip([entry.name for entry in entries], reader.read_block(requests), strict=True))


@pytest.mark.parametrize("kind", WRITERS)
def test_members_are_listed_and_read(kind: str, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path)
    source = source_of(path, tmp_path / "scratch")
    source.check()
    entries = list(source.entries())
    assert [entry.name for entry in entries] == list(FILES)
    assert [entry.path for entry in entries] == [f"{path.resolve()}::{name}" for name in FILES]
    for found, image in zip(read(source).values(), IMAGES, strict=True):
        assert isinstance(found, Reading)
        np.testing.assert_array_equal(found.pixels, image)


@pytest.mark.parametrize("kind", WRITERS)
def test_listing_alone_writes_nothing(kind: str, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path)
    assert [entry.name for entry in source_of(path).entries()] == list(FILES)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_members_that_are_none_are_rejected_one_by_one(write: Any, tmp_path: Path) -> None:
    path = tmp_path / ("a.tar" if write is write_tar else "a.zip")
    content = next(iter(FILES.values()))
    files = {"good.fits": content, "empty.fits": b"", "cut.fits": content[:-100], "text.fits": b"text"}
    found = read(source_of(write(path, files)))
    assert isinstance(found["good.fits"], Reading)
    assert str(found["empty.fits"]) == "empty file"
    assert str(found["cut.fits"]).startswith("truncated")
    assert str(found["text.fits"]).startswith("not FITS")


def test_a_changed_byte_of_a_zip_file_is_seen(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", method=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    at = content.index(b"SIMPLE") + 2900
    content[at] ^= 1
    path.write_bytes(content)
    first, *others = read(source_of(path)).values()
    assert str(first) == "checksum does not match (CRC of the zip file)"
    assert all(isinstance(one, Reading) for one in others)


def test_encrypted_members_are_rejected(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\3\4", 30)  # of the first file, behind the folder
    content[at + 6] |= 1
    path.write_bytes(content)
    first, *_ = read(source_of(path)).values()
    assert str(first) == "unreadable (encrypted)"


@pytest.mark.parametrize(
    ("name", "content"), [("a.zip", b"PK text"), ("a.tar", b"text" * 200), ("a.tgz", b"\x1f\x8bx")]
)
def test_what_is_no_archive_is_an_error(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: expected a whole archive \(tar, zip\), found: "):
        source_of(tmp_path / name).check()
    with pytest.raises(InputError, match=r"expected an archive .* but it does not exist"):
        source_of(tmp_path / f"none-{name}").check()


def test_a_truncated_archive_is_an_error(tmp_path: Path) -> None:
    for kind in ("tar", "zip", "tar.gz"):
        path = WRITERS[kind](tmp_path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError, match="expected a whole archive"):
            list(source_of(path).entries())


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_hidden_folders_are_listed_and_not_looked_into(write: Any, tmp_path: Path) -> None:
    files = FILES | {f"./set/.Trash/{name}": content for name, content in FILES.items()}
    files |= {"./a..b/x_g.fits": b"", "set/._x_g.fits": b""}
    path = write(tmp_path / ("x.tar" if write is write_tar else "x.zip"), files)
    names = [entry.name for entry in ArchiveSource(path, SIDE, ReadSettings()).entries()]
    assert names == [*FILES, "./set/.Trash/", "./a..b/x_g.fits", "set/._x_g.fits"]


def test_names_with_backslashes_are_paths_where_windows_wrote_them(tmp_path: Path) -> None:
    for system, name in ((0, "set/a_g.fits"), (3, "set\\a_g.fits")):
        member = zipfile.ZipInfo("x")
        member.filename, member.create_system = "set\\a_g.fits", system
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr(member, primary_bytes(IMAGES[0]))
        source = ArchiveSource(tmp_path / "x.zip", SIDE, ReadSettings())
        (entry,) = source.entries()
        assert entry.name == name
        (found,) = source.reader().read_block([Request(entry.path, entry.position, "g")])
        assert isinstance(found, Reading)
