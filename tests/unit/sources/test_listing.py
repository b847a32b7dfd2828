"""What folders and lists hold."""

import os
from pathlib import Path

import pytest

from stronglens.running.errors import InputError
from stronglens.sources.listing import Listed, list_files


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names_in(source: Path, max_depth: int = 1) -> set[str]:
    root = os.path.realpath(source)
    return {f"{one.folder}/{one.name}".removeprefix(f"{root}/") for one in list_files(source, max_depth)}


@pytest.mark.parametrize(
    ("max_depth", "deeper"),
    [
        (0, {"sub/", ".hidden/"}),
        (1, {"sub/b", "sub/deep/", ".hidden/"}),
        (2, {"sub/b", "sub/deep/c", ".hidden/"}),
    ],
)
def test_folders_are_looked_into_so_deep_and_hidden_ones_not(
    tmp_path: Path, max_depth: int, deeper: set[str]
) -> None:
    write(tmp_path, "a", ".a", "sub/b", "sub/deep/c", ".hidden/d")
    assert names_in(tmp_path, max_depth) == {"a", ".a"} | deeper


def test_links_are_followed_and_noted(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/a")
    data = tmp_path / "data"
    data.mkdir()
    (data / "folder").symlink_to(tmp_path / "elsewhere")
    (data / "b").symlink_to(tmp_path / "elsewhere/a")
    (data / "itself").symlink_to(data / "itself")
    found = set(list_files(data))
    elsewhere, real = os.path.realpath(tmp_path / "elsewhere"), os.path.realpath(data)
    assert found == {
        Listed(elsewhere, "a", 0, False),
        Listed(real, "b", 0, True),
        Listed(real, "itself", 0, True),
    }


def test_lines_of_a_list_with_their_numbers(tmp_path: Path) -> None:
    write(tmp_path, "data/a", "#b", "c d")
    text = "\ufeffdata/a\r\n\n# a comment\n#b\n  c d \n/elsewhere/e"
    (tmp_path / "list.txt").write_bytes(text.encode())
    here = os.path.realpath(tmp_path)
    assert list(list_files(tmp_path / "list.txt")) == [
        Listed(f"{here}/data", "a", 1, True),
        Listed(here, "#b", 4, True),  # a file has that name
        Listed(here, "c d", 5, True),
        Listed("/elsewhere", "e", 6, True),
    ]


@pytest.mark.parametrize("content", [b"a\xff\n", b"a\0b/c\n"])
def test_what_is_no_list(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(
        InputError, match=r"x: expected a list file .text, one path a line., found something else"
    ):
        list(list_files(tmp_path / "x"))


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="x: expected a folder of FITS files or a list file, but"):
        list(list_files(tmp_path / "x"))
    (tmp_path / "link").symlink_to("/gone")
    with pytest.raises(InputError, match=r"link: .*found a link to /gone, which does not exist"):
        list(list_files(tmp_path / "link"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe: .*found something else"):
        list(list_files(tmp_path / "pipe"))
