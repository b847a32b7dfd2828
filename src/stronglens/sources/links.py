"""Links between files, followed to their end."""

# os.path is several times faster than pathlib, and there may be a million files.
# ruff: noqa: PTH115, PTH118, PTH119, PTH120

import os
from functools import cache
from typing import NamedTuple

_MOST_LINKS = 40  # as the Linux kernel


class Followed(NamedTuple):
    """Where a path leads.

    Attributes
    ----------
    named : str
        The last path on the way that still has the name it began with. Stores that keep files under a hash
        of their content (git-annex, DVC) end in a name that says nothing.
    real : str
        The end of the way: equal for two paths if they are one file.
    """

    named: str
    real: str


class LinkFollower:
    """Follows links to files; remembers where folders lead."""

    def __init__(self) -> None:
        self._real_folder = cache(os.path.realpath)

    def follow(self, path: str) -> Followed:
        """Follow a path as far as it leads; a broken link or a loop of links ends where it breaks.

        Parameters
        ----------
        path : str
            Absolute, in a folder without links.
        """
        named = path
        name = os.path.basename(path)
        for _ in range(_MOST_LINKS):
            try:
                target = os.readlink(path)
            except OSError:  # no link, or not there
                break
            head, tail = os.path.split(os.path.join(os.path.dirname(path), target))
            path = f"{self._real_folder(head)}/{tail}"
            if tail == name:
                named = path
        return Followed(named, path)
