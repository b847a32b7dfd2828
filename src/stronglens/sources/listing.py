"""What a folder or a list file holds: names of files, whatever they may be."""

# os.path is several times faster than pathlib, and there may be a million files.
# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH115, PTH118

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from stronglens.running.errors import InputError


class Listed(NamedTuple):
    """A file that a source holds.

    Attributes
    ----------
    folder : str
        Its folder, absolute and without links.
    name : str
        Its name; a folder that is not looked into ends in a slash.
    line : int
        Line of the list file that names it; 0 in a folder.
    is_link : bool
        Whether it may be a link; false only where that is certain.
    """

    folder: str
    name: str
    line: int
    is_link: bool


def list_files(source: Path, max_depth: int = 1) -> Iterator[Listed]:
    """List a source: the files of a folder and of the folders in it, or the lines of a list file.

    Links to folders are followed. Hidden folders, and folders more than `max_depth` levels down, are listed
    but not looked into. Relative paths in a list file start at the folder of the list file. Blanks around a
    path are no part of it. Empty lines are skipped, and so are those that begin with `#`, unless a file has
    that name. Whether a line names a file is for the caller to find out.

    Raises
    ------
    InputError
        The source is missing, or no folder and no text; a folder cannot be read.
    """
    if os.path.isdir(source):
        yield from _list_folder(os.path.realpath(source), max_depth)
    elif os.path.isfile(source):
        yield from _read_list(source)
    else:
        found = "found something else" if os.path.exists(source) else "but it does not exist"
        if os.path.islink(source) and not os.path.exists(source):
            found = f"found a link to {os.readlink(source)}, which does not exist"
        raise InputError(f"{source}: expected a folder of FITS files or a list file, {found}")


def _list_folder(folder: str, deeper: int) -> Iterator[Listed]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not _is_folder(entry):
                    yield Listed(folder, entry.name, 0, entry.is_symlink())
                elif deeper and not entry.name.startswith("."):
                    yield from _list_folder(os.path.realpath(entry.path), deeper - 1)
                else:
                    yield Listed(folder, entry.name + "/", 0, False)
    except OSError as error:
        raise InputError(f"{folder}: expected a folder that can be read, found: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _read_list(source: Path) -> Iterator[Listed]:
    base = source.absolute().parent
    real_folder: Callable[[str], str] = cache(os.path.realpath)
    try:
        with source.open(encoding="utf-8-sig", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                path = os.path.join(base, line.strip())
                if not line.strip() or (line.lstrip().startswith("#") and not os.path.isfile(path)):
                    continue
                folder, name = os.path.split(path)
                yield Listed(real_folder(folder), name, number, True)
    except (OSError, ValueError) as error:  # no UTF-8, or a NUL in a path
        raise InputError(
            f"{source}: expected a list file (text, one path a line), found something else ({error}); "
            "archives end in .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz or .zip; tables and stacks are not "
            "packed as a whole"
        ) from error
