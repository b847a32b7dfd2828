"""What a tar file holds: names of members, and where their bytes are.

`tarfile` takes several times as long, ends without a word at a broken header, and takes a file that was cut
between two members for a whole one.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar, "Basic Tar Format".
"""

import os
from collections.abc import Iterator
from typing import IO, NamedTuple, Protocol

HEADER = 512
NO_FILE = {
    -1: "a link in an archive: pack the file itself, for example with tar --dereference --hard-dereference",
    -2: "a file with holes in an archive: pack it without --sparse",
    -3: "neither file nor link in an archive",
}
"""Why a member has no bytes, by its position."""

_LONGEST = 2**20  # of a name or of an extended header
_REGULAR = frozenset((0, ord("0"), ord("7")))
_LINKS = frozenset(b"12")
_FOLDER = ord("5")
_SPARSE = ord("S")
_ABOUT_NEXT, _ABOUT_ALL, _LONG_NAME, _LONG_LINK = b"xgLK"
_SPACE = sum(b" " * 8)
_READ_AHEAD = 2**20


class Member(NamedTuple):
    """A member of a tar file: name, and where its bytes begin; below 0, see `NO_FILE`."""

    name: str
    position: int


class _Bytes(Protocol):
    """A tar file, read forwards."""

    def at(self, position: int, n_bytes: int) -> bytes: ...


class FromFile:
    """Reads where it is asked to, and what follows in advance."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._start, self._ahead = 0, b""
        self._n_ahead = _READ_AHEAD
        self.size = os.fstat(descriptor).st_size

    def at(self, position: int, n_bytes: int) -> bytes:
        first = position - self._start
        if first < 0 or first + n_bytes > len(self._ahead):
            # Of large members the headers alone are read, of small ones many at a time.
            self._n_ahead = _READ_AHEAD if 0 <= first < 2 * _READ_AHEAD else HEADER
            self._ahead = os.pread(self._descriptor, max(n_bytes, self._n_ahead), position)
            self._start, first = position, 0
        return self._ahead[first : first + n_bytes]


class FromStream:
    """Reads a stream to its end, and skips what is not asked for."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._at = 0

    def at(self, position: int, n_bytes: int) -> bytes:
        while self._at < position:
            skipped = len(self._stream.read(min(position - self._at, _READ_AHEAD)))
            if not skipped:
                raise ValueError("it ends within a member: truncated")
            self._at += skipped
        found = self._stream.read(n_bytes)
        self._at += len(found)
        return found


def members_of(tar: _Bytes) -> Iterator[Member]:
    """List a tar file.

    Parameters
    ----------
    tar : FromFile or FromStream
        The file, not compressed.

    Yields
    ------
    Member
        In the order of the file; folders are left out.

    Raises
    ------
    ValueError
        It is no tar file, or is truncated, or broken, or goes on after its end.
    """
    position, long_name = 0, b""
    about_all: dict[bytes, bytes] = {}
    about: dict[bytes, bytes] = {}
    while True:
        header = tar.at(position, HEADER)
        if not header.strip(b"\0"):
            _refuse_no_end(tar, position, header)
            return
        kind, size = _kind_and_size(header, position)
        position += HEADER
        if kind in (_ABOUT_NEXT, _ABOUT_ALL, _LONG_NAME, _LONG_LINK):
            content = _content(tar, position, size)
            if kind == _LONG_NAME:
                long_name = content.partition(b"\0")[0]
            elif kind == _ABOUT_NEXT:
                about = _records(content)
            elif kind == _ABOUT_ALL:
                about_all |= _records(content)
        else:
            about = about_all | about
            size = int(about.get(b"size", size))
            name = about.get(b"GNU.sparse.name") or about.get(b"path") or long_name or _name(header)
            is_sparse = kind == _SPARSE or any(key.startswith(b"GNU.sparse") for key in about)
            if kind == _SPARSE and header[482]:
                raise ValueError(
                    f"{name!r}: a file with more holes than are understood; pack without --sparse"
                )
            is_folder = kind == _FOLDER or (kind in _REGULAR and name.endswith(b"/"))
            if not is_folder:
                found = -2 if is_sparse else position if kind in _REGULAR else -1 if kind in _LINKS else -3
                yield Member(name.decode("utf-8", "surrogateescape"), found)
            long_name, about = b"", {}
            if kind not in _REGULAR and kind != _SPARSE:
                size = 0  # links state that of their target
        position += size + -size % HEADER
        if size and isinstance(tar, FromFile) and position > tar.size:
            raise ValueError(f"{tar.size} bytes, but the last member ends at {position}: truncated")


def size_in(header: bytes) -> int:
    """Bytes of a member, from its header."""
    field = header[124:136]
    if field[0] & 0x80:  # in base 256: of GNU tar, for more than 8 GiB
        return int.from_bytes(field, "big") & (1 << 88) - 1
    return int(field.strip(b"\0 ") or b"0", 8)


def _kind_and_size(header: bytes, position: int) -> tuple[int, int]:
    if len(header) == HEADER:
        stated = header[148:156].partition(b"\0")[0].strip()
        signless = sum(header) - sum(header[148:156]) + _SPACE
        try:
            if int(stated, 8) == signless:
                return header[156], size_in(header)
        except ValueError:
            pass
    what = (
        "no tar file" if not position else f"no header of a member at byte {position}: truncated, or broken"
    )
    raise ValueError(what)


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0" and header[345]:  # GNU tar has times there, and "ustar "
        return header[345:500].partition(b"\0")[0] + b"/" + name
    return name


def _content(tar: _Bytes, position: int, size: int) -> bytes:
    if size > _LONGEST:
        raise ValueError(f"a name of {size} bytes at byte {position}")
    content = tar.at(position, size)
    if len(content) < size:
        raise ValueError("it ends within a header: truncated")
    return content


def _records(content: bytes) -> dict[bytes, bytes]:
    """Values by keyword of an extended header: lines of `LENGTH KEYWORD=VALUE`."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(content) and content[at : at + 1] != b"\0":
        length = int(content[at : content.index(b" ", at)])
        record = content[at : at + length]
        keyword, equals, value = record.partition(b" ")[2].partition(b"=")
        if length < 5 or not equals or not record.endswith(b"\n"):
            raise ValueError(f"a broken record of an extended header, {record[:40]!r}")
        found[keyword] = value[:-1]
        at += length
    return found


def _refuse_no_end(tar: _Bytes, position: int, header: bytes) -> None:
    """Refuse a file that stops without its end marker, or goes on after it."""
    if len(header) < HEADER:
        raise ValueError(
            f"it stops after {position + len(header)} bytes without the end of an archive: truncated? If it "
            "is whole, append 1024 bytes of zero"
        )
    while rest := tar.at(position, _READ_AHEAD):
        if rest.strip(b"\0"):
            raise ValueError(
                f"more after its end, at byte {position}: several archives in one file? Unpack them one by "
                "one (tar --ignore-zeros), or join them with tar --concatenate"
            )
        position += len(rest)
