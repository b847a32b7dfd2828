"""The file that holds t* alone."""

from pathlib import Path

from stronglens.formats.artefact import write_text
from stronglens.running.errors import InputError

THRESHOLD_TXT = "threshold.txt"


def write_threshold(path: Path, threshold: float) -> None:
    """Write t* with as many digits as bring back the same number."""
    write_text(path, f"{float(threshold)!r}\n")  # NumPy's numbers show their type too


def read_threshold(path: Path) -> float:
    """Read t*.

    Raises
    ------
    InputError
        The file is missing or holds anything but one number from 0 to 1. There is no number to fall back on.
    """
    try:
        threshold = float(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: expected a file with the threshold, found none ({error.strerror})"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path}: expected the threshold as a number, found something else ({error})"
        ) from error
    if not 0 <= threshold <= 1:
        raise InputError(f"{path}: expected a threshold from 0 to 1, found {threshold!r}")
    return threshold
