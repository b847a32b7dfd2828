"""Archives of FITS files as a source: tar and zip, whose members are read where they are.

A million small files are what file systems are worst at. A tar file or a zip file is one large file, in which
each reader seeks. A compressed tar file can only be read from its beginning: it is unpacked, as a stream,
into one tar file beside the results, which is removed when they are done.

Source: POSIX.1-2017, pax (ustar); APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16.
"""

import bz2
import gzip
import io
import lzma
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, BinaryIO

from stronglens.running.errors import InputError
from stronglens.settings.reading import ReadSettings
from stronglens.sources.files import FileReader
from stronglens.sources.fits_image import LARGEST_FILE, unpacked
from stronglens.sources.protocol import Entry
from stronglens.sources.rejected import Rejected
from stronglens.sources.tar_members import HEADER, NO_FILE, FromFile, FromStream, members_of, size_in

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ENDINGS = (*TAR_ENDINGS, ".zip")
BETWEEN = "::"
"""What stands between an archive and the name of a member in an address."""

_Opener = Callable[[IO[bytes]], Any]
_OPENERS: dict[bytes, _Opener] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, struct.error, ValueError)
_FIRST_READ = 24_576  # holds an ordinary member
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_STORED, _DEFLATED = 0, 8
_IN_64_BITS = 0xFFFFFFFF
_MOST_COUNTED = 2**16
_OF_WINDOWS = (0, 10, 14)  # where some programs, against the standard, write names with backslashes


@dataclass(frozen=True)
class ArchiveSource:
    """An archive with FITS files in it.

    Attributes
    ----------
    path : Path
        Of the archive.
    size_px : int
        Side of a cutout in pixels.
    settings : ReadSettings
        How its members are read.
    scratch : Path or None
        Folder for a compressed tar file, unpacked; None where nothing will be read.
    """

    path: Path
    size_px: int
    settings: ReadSettings
    scratch: Path | None = None

    def check(self) -> None:
        next(self.entries(), None)

    def entries(self) -> Iterator[Entry]:
        address = f"{self.path.resolve()}{BETWEEN}"
        hidden: set[str] = set()
        try:
            with self.path.open("rb") as file:
                for name, position in self._members(file):
                    folder = _hidden_folder(name)
                    if not folder:
                        yield Entry(address + name, name, position=position)
                    elif folder not in hidden:
                        hidden.add(folder)
                        yield Entry(address + folder, folder)
        except FileNotFoundError as error:
            raise InputError(f"{self.path}: expected an archive (tar, zip), but it does not exist") from error
        except _BROKEN as error:
            raise InputError(f"{self.path}: expected a whole archive (tar, zip), found: {error}") from error

    def fetch(self, _: str, position: int) -> bytes:
        """The content of a member."""
        try:
            return unpacked(self._zip_member(position) if self._is_zip else self._tar_member(position))
        except (OSError, zlib.error, struct.error) as error:
            raise Rejected("unreadable", f"{type(error).__name__}: {error}") from error

    def reader(self) -> FileReader:
        return FileReader(self.fetch, self.size_px, self.settings)

    @property
    def _is_zip(self) -> bool:
        return self.path.name.lower().endswith(".zip")

    @cached_property
    def _program(self) -> bytes:
        with self.path.open("rb") as file:
            start = file.read(8)
        return next((magic for magic in _OPENERS if start.startswith(magic)), b"")

    @property
    def _unpacked(self) -> Path:
        """The archive itself, or the tar file that it is unpacked into."""
        if self._is_zip or not self._program:
            return self.path
        name = blake2b(str(self.path.resolve()).encode(errors="surrogateescape"), digest_size=8).hexdigest()
        return (self.scratch or Path()) / f"{name}.tar"

    def _members(self, file: BinaryIO) -> Iterator[tuple[str, int]]:
        if self._is_zip:
            return _zip_members(file)
        return members_of(FromFile(file.fileno())) if self._unpacked == self.path else self._unpack(file)

    def _unpack(self, file: IO[bytes]) -> Iterator[tuple[str, int]]:
        with _OPENERS[self._program](file) as stream:
            if self.scratch is None:
                yield from members_of(FromStream(io.BufferedReader(stream, 2**20)))
                return
            self.scratch.mkdir(parents=True, exist_ok=True)
            with self._unpacked.open("wb") as copy:
                shutil.copyfileobj(stream, copy, 2**22)
        with self._unpacked.open("rb") as copy:
            yield from members_of(FromFile(copy.fileno()))

    @cached_property
    def _descriptor(self) -> int:
        """Open as long as the process that reads lives."""
        return os.open(self._unpacked, os.O_RDONLY)

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key != "_descriptor"}

    def _tar_member(self, position: int) -> bytes:
        if position < 0:
            raise Rejected("unreadable", NO_FILE[position])
        content = os.pread(self._descriptor, _FIRST_READ, position - HEADER)
        size = size_in(content)
        return self._rest(content[HEADER : HEADER + size], position, size)

    def _rest(self, start: bytes, position: int, size: int) -> bytes:
        if size > LARGEST_FILE:
            raise Rejected("too large", f"{size} bytes")
        if len(start) < size:
            start += os.pread(self._descriptor, size - len(start), position + len(start))
        if len(start) < size:
            raise Rejected("truncated", f"{len(start)} of {size} bytes, at the end of the archive")
        if not start:
            raise Rejected("empty file")
        return start

    def _zip_member(self, position: int) -> bytes:
        content = os.pread(self._descriptor, _FIRST_READ, position)
        magic, _, flags, method, _, _, crc, packed, size, n_name, n_extra = _LOCAL.unpack_from(content)
        if magic != b"PK\3\4":
            raise Rejected("unreadable", "no member at the position in the zip directory")
        if flags & 1:
            raise Rejected("unreadable", "encrypted")
        said_later = bool(flags & 8)  # sizes and checksum follow the data
        start = _LOCAL.size + n_name + n_extra
        if method == _STORED:
            if said_later or packed == _IN_64_BITS:
                raise Rejected(
                    "unreadable",
                    "stored in a zip file that does not state its size there: unzip it, and pack it as tar",
                )
            found = self._rest(content[start : start + packed], position + start, packed)
        elif method == _DEFLATED:
            found, later_crc = self._inflated(content[start:], position + start)
            crc = later_crc if said_later else crc
            if not said_later and size not in (len(found), _IN_64_BITS):
                raise Rejected("truncated", f"{len(found)} of {size} bytes unpacked")
        else:
            raise Rejected("unreadable", f"zip method {method}: store it, or deflate it")
        if zlib.crc32(found) != crc:
            raise Rejected("checksum does not match", "CRC of the zip file")
        return found

    def _inflated(self, chunk: bytes, position: int) -> tuple[bytes, int]:
        """A deflated member, and the checksum that may follow it."""
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        pieces, n_bytes = [], 0
        position += len(chunk)
        while True:
            pieces.append(inflate.decompress(chunk, LARGEST_FILE + 1 - n_bytes))
            n_bytes += len(pieces[-1])
            if n_bytes > LARGEST_FILE:
                raise Rejected("too large", f"more than {LARGEST_FILE} bytes unpacked")
            if inflate.eof:
                break
            chunk = inflate.unconsumed_tail
            if not chunk:
                chunk = os.pread(self._descriptor, _FIRST_READ, position)
                position += len(chunk)
            if not chunk:
                raise Rejected("truncated", "at the end of the archive")
        if not n_bytes:
            raise Rejected("empty file")
        after = inflate.unused_data + os.pread(self._descriptor, 8, position)
        checksum = after[4:8] if after.startswith(b"PK\7\x08") else after[:4]
        return b"".join(pieces), int.from_bytes(checksum, "little")


def _hidden_folder(name: str) -> str:
    """The hidden folder that a member lies in, with a slash at its end; "" if in none.

    Nobody looks into those of a file system either: they hold what was thrown away, or copies.
    """
    if "/." not in name and not name.startswith("."):
        return ""
    folders = name.split("/")[:-1]
    depth = next((n for n, one in enumerate(folders) if one.startswith(".") and one.strip(".")), None)
    return "" if depth is None else "/".join(folders[: depth + 1]) + "/"


def _zip_members(file: BinaryIO) -> Iterator[tuple[str, int]]:
    """Names and positions of members, from the directory at the end of a zip file; no more is kept."""
    n_members, start, n_bytes = _zip_directory(file)
    file.seek(start)
    n_found = 0
    while file.tell() < start + n_bytes:
        n_found += 1
        fields = _CENTRAL.unpack(file.read(_CENTRAL.size))
        if fields[0] != b"PK\1\2":
            raise ValueError("a broken directory of the zip file")
        flags, size, n_name, n_extra, n_comment, position = (fields[n] for n in (3, 9, 10, 11, 12, 16))
        name = file.read(n_name).decode("utf-8" if flags & 0x800 else "cp437", "backslashreplace")
        if "/" not in name and fields[1] >> 8 in _OF_WINDOWS:
            name = name.replace("\\", "/")
        extra = file.read(n_extra)
        file.read(n_comment)
        if position == _IN_64_BITS:
            position = _position_in_64_bits(extra, (fields[9], fields[8]))
        if not name.endswith("/"):
            yield name, position
        elif size:
            raise ValueError(f"a folder with content, {name!r}")
    if n_found % _MOST_COUNTED != n_members % _MOST_COUNTED:  # old writers count 65,536 as 0
        raise ValueError(f"{n_found} members in its directory, which states {n_members}")


def _position_in_64_bits(extra: bytes, sizes: tuple[int, int]) -> int:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            return int(struct.unpack_from("<Q", extra, at + 4 + 8 * sizes.count(_IN_64_BITS))[0])
        at += 4 + length
    raise ValueError("the directory of the zip file gives no position")


def _zip_directory(file: IO[bytes]) -> tuple[int, int, int]:
    """Number of members, where their directory begins, and its bytes."""
    end = file.seek(0, io.SEEK_END)
    tail_at = max(0, end - 65_557 - 20)
    file.seek(tail_at)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0:
        raise ValueError("no directory at its end: no zip file, or a truncated one")
    *_, n_members, n_bytes, start, _ = struct.unpack_from("<4s4H2IH", tail, at)
    locator = at - 20
    if locator >= 0 and tail[locator : locator + 4] == b"PK\6\7":
        file.seek(struct.unpack_from("<Q", tail, locator + 8)[0])
        record = struct.unpack("<4sQ2H2I4Q", file.read(56))
        n_members, n_bytes, start = record[7:10]
    return n_members, start, n_bytes
