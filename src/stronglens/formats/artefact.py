"""Files that a step leaves behind: complete or absent, and recognisable by their content."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stronglens.running.errors import InputError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let errors of the disk say which file was being written: a full disk says nothing of the kind.

    Raises
    ------
    InputError
        The file or its folder cannot be written: the disk is full, or broken, or read-only.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be written, found: {error}") from error


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Give a name to write to; the content takes its final name only once the block has ended well.

    Parameters
    ----------
    path : Path
        The final name. Its folder is made if need be.

    Yields
    ------
    Path
        A hidden name in the same folder (so that the rename stays on one file system), with the same ending
        (some writers choose the format by it). It is the same for every try: what a killed process left is
        overwritten by the next instead of piling up.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    aside = path.with_name(f".part.{path.name}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            with aside.open("rb") as written:
                os.fsync(written.fileno())
            aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@contextmanager
def write_folder_aside(path: Path) -> Iterator[Path]:
    """Give a folder to write files to; it takes its final name only once the block has ended well.

    Parameters
    ----------
    path : Path
        The final name; a folder of that name is replaced.

    Yields
    ------
    Path
        An empty folder with a hidden name beside it; nothing of it is left where the block fails.
    """
    aside = path.with_name(f".part.{path.name}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with writing(path):
            aside.mkdir(parents=True)
        yield aside
        with writing(path):
            shutil.rmtree(path, ignore_errors=True)
            aside.rename(path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file, complete or not at all."""
    with write_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, payload: Any) -> None:
    """Write JSON with sorted keys, so that equal content gives equal bytes; NaN is refused."""
    write_text(
        path, json.dumps(payload, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        The file is missing or holds no JSON object.
    """
    try:
        payload = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected a JSON file, found none") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected JSON, found something else ({error})") from error
    if not isinstance(payload, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(payload).__name__}")
    return payload


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


LARGE_BYTES = 2**26
"""Files of this size and above are hashed once, and not once by each job that reads them."""

VERIFY = "STRONGLENS_VERIFY"
"""Where this environment variable is set, they are hashed by each job all the same."""

_SETTLED_NS = 2 * 10**9
"""Age at which a change of a file is taken to be seen in its times: clocks of file systems tick coarsely."""


def known_sha256(path: Path, kept: Path | None = None) -> str:
    """SHA-256 of a file's bytes, of a large one from a small file if it has not changed since.

    The small file is `kept`, or lies beside it.

    Whether it has is seen by size, inode and both of its times: a copy, or one that was written to, is hashed
    anew. Where the small file cannot be written, each job hashes for itself.
    """
    before = _traits(path)
    if before["size"] < LARGE_BYTES or os.environ.get(VERIFY):
        return sha256_of(path)
    kept = kept or path.with_name(f".{path.name}.sha256.json")
    try:
        found = read_json(kept)
        if found == before | {"format": 1, "sha256": found.get("sha256")} and found["sha256"]:
            return str(found["sha256"])
    except InputError:
        pass  # there is none, or it is not whole
    sha256 = sha256_of(path)
    settled = time.time_ns() - max(before["mtime_ns"], before["ctime_ns"]) > _SETTLED_NS
    if settled and before == _traits(path):
        with suppress(InputError):  # a folder that is read only
            write_json(kept, before | {"format": 1, "sha256": sha256})
    return sha256


def _traits(path: Path) -> dict[str, int]:
    found = path.stat()
    return {
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "ctime_ns": found.st_ctime_ns,
        "inode": found.st_ino,
    }


def check_sha256(path: Path, expected: str, stated_in: Path) -> None:
    """Refuse a large artefact whose content is not what the small JSON beside it states.

    Snakemake compares only the time of files above 1 MB; this is what makes a changed one known.

    Raises
    ------
    InputError
        The file is missing or its content differs.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected the file that {stated_in} describes, found none")
    found = known_sha256(path)
    if found != expected:
        raise InputError(
            f"{path}: expected sha256 {expected[:12]}… as {stated_in} states, found {found[:12]}…; "
            f"the file was changed or cut short since it was made: remove it and run again"
        )


def check_stated(path: Path, sha256: Mapping[str, str], stated_in: Path) -> None:
    """Refuse a file that is not the one whose SHA-256 is stated under its name (see `check_sha256`).

    Raises
    ------
    InputError
        None is stated, or the file is missing or another.
    """
    if path.name not in sha256:
        raise InputError(f"{stated_in}: expected the sha256 of {path.name}, found none")
    check_sha256(path, sha256[path.name], stated_in)
