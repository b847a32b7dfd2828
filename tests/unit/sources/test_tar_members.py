"""Members of tar files, where `tarfile` finds them."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from stronglens.sources.tar_members import HEADER, NO_FILE, FromFile, FromStream, Member, members_of, size_in

LONG = "long/" * 60 + "name.fits"
CONTENTS = {
    "a.fits": b"a" * 3000,
    "folder/b.fits": b"",
    LONG: b"b" * 512,
    "ä ö.fits": b"c" * 513,
    "x" * 120 + "/" + "y" * 90: b"d",
}
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def tar_of(contents: dict[str, bytes], form: str, **more: Any) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=FORMATS[form], encoding="utf-8", **more) as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), 1.5e9
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def listed(content: bytes, path: Path) -> list[Member]:
    """As read from a file, which is as read from a stream."""
    path.write_bytes(content)
    with path.open("rb") as file:
        found = list(members_of(FromFile(file.fileno())))
    assert found == list(members_of(FromStream(io.BytesIO(content))))
    return found


@pytest.mark.parametrize("form", FORMATS)
def test_members_are_where_tarfile_finds_them(form: str, tmp_path: Path) -> None:
    contents = {name: one for name, one in CONTENTS.items() if form != "ustar" or name != LONG}
    content = tar_of(contents, form)
    with tarfile.open(fileobj=io.BytesIO(content), encoding="utf-8") as tar:
        expected = [Member(member.name, member.offset_data) for member in tar if not member.isdir()]
    found = listed(content, tmp_path / "x.tar")
    assert found == expected
    for member in found:
        size = size_in(content[member.position - HEADER : member.position])
        assert content[member.position : member.position + size] == contents[member.name]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_have_no_bytes(form: str, kind: bytes, tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=FORMATS[form]) as tar:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = kind, "a.fits"
        tar.addfile(member)
        member = tarfile.TarInfo("a.fits")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    one, other = listed(file.getvalue(), tmp_path / "x.tar")
    assert one == Member("link", -3 if kind == tarfile.FIFOTYPE else -1)
    assert one.position in NO_FILE
    assert other.name == "a.fits"


def test_headers_about_all_members_count_until_one_of_their_own(tmp_path: Path) -> None:
    content = tar_of({"a": b"1", "b": b"2"}, "pax", pax_headers={"comment": "of all"})
    assert [member.name for member in listed(content, tmp_path / "x.tar")] == ["a", "b"]


def test_sizes_beyond_octal() -> None:
    header = bytearray(512)
    header[124:136] = b"\x80" + (9 * 2**30).to_bytes(11, "big")
    assert size_in(bytes(header)) == 9 * 2**30
    header[124:136] = b"00000001750\0"
    assert size_in(bytes(header)) == 0o1750
    header[124:136] = b"\0" * 12
    assert size_in(bytes(header)) == 0


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: b"SIMPLE  =" + content[9:], "no tar file"),
        (lambda content: content[:300], "no tar file"),
        (lambda content: content[: 3 * 512 + 100], "truncated"),
        (lambda content: content[: 2 * 512 + 3072], "truncated|ends|without its end"),
        (lambda content: content[:512] + b"\1" + content[513:], "at byte 512: truncated, or broken"),
    ],
)
def test_what_is_not_whole_is_no_tar_file(spoil: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(spoil(tar_of({"a.fits": b"a" * 3000, "b.fits": b"b"}, "ustar")))
    with path.open("rb") as file, pytest.raises(ValueError, match=said):
        list(members_of(FromFile(file.fileno())))
    with pytest.raises(ValueError, match=said):
        list(members_of(FromStream(io.BytesIO(path.read_bytes()))))
