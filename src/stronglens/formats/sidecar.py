"""What all JSON files that steps leave have in common: a class for the content, and a number for its form."""

import json
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from stronglens.formats.artefact import read_json, write_json
from stronglens.running.errors import InputError

_LONGEST_SHOWN = 60


class Part(BaseModel):
    """A part of a sidecar's content, with the same rules."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        # Within values of any kind NaN would be written as null, without a word; so writing JSON refuses it.
        ser_json_inf_nan="constants",
    )


class Sidecar(Part):
    """Content of a JSON file that a step leaves.

    The file holds the fields and `format`, the number of its form. A form changes with every key that is
    added, so that an unknown key is a fault of the file. A file without the number is read as format 1.
    """

    KIND: ClassVar[str] = "what a step leaves"
    """What the file is, for messages."""
    FORMAT: ClassVar[int] = 1
    """The form that is written."""
    OLDEST: ClassVar[int] = 1
    """The oldest form that is read."""
    NUMBERED: ClassVar[bool] = True
    """Whether `format` is written: not where all keys of a file are those of the original pipeline."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that `write` wrote.

        Raises
        ------
        InputError
            The file is missing or damaged, is of another kind, or of a newer format than this version reads.
        """
        content = read_json(path)
        number = content.pop("format", 1)
        if not isinstance(number, int) or isinstance(number, bool) or number < cls.OLDEST:
            raise InputError(f"{path}: expected {cls.KIND} of format {cls.FORMAT}, found format {number!r}")
        if number > cls.FORMAT:
            raise InputError(
                f"{path}: format {number} is newer than this version reads ({cls.FORMAT}); update stronglens"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            found = "; ".join(_faults(error))
            raise InputError(f"{path}: expected {cls.KIND}, found {found}; run the step again") from error

    def write(self, path: Path) -> None:
        """Write the fields that are set; equal content gives equal bytes."""
        write_json(path, self.as_json())

    def as_json(self) -> dict[str, Any]:
        """What the file holds."""
        content = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return content | ({"format": self.FORMAT} if self.NUMBERED else {})


def naming(*names: str) -> AfterValidator:
    """Refuse SHA-256 by names of files where one of these is not among them."""

    def check(sha256: dict[str, str]) -> dict[str, str]:
        missing = [name for name in names if name not in sha256]
        if missing:
            raise ValueError(f"expected the sha256 of {' and '.join(missing)}, found none")
        return sha256

    return AfterValidator(check)


def holding(*keys: str) -> AfterValidator:
    """Refuse a dictionary without one of these keys."""

    def check(values: dict[str, Any]) -> dict[str, Any]:
        missing = [key for key in keys if key not in values]
        if missing:
            raise ValueError(f"expected {', '.join(keys)}, found no {', '.join(missing)}")
        return values

    return AfterValidator(check)


def _faults(error: ValidationError) -> list[str]:
    problems = error.errors(include_url=False)
    dotted = [".".join(map(str, problem["loc"])) for problem in problems]
    missing = [key for key, problem in zip(dotted, problems, strict=True) if problem["type"] == "missing"]
    faults = [f"no {', '.join(missing)}"] if missing else []
    for key, problem in zip(dotted, problems, strict=True):
        if problem["type"] == "extra_forbidden":
            faults.append(f"the unknown key {key}")
        elif problem["type"] != "missing":
            shown = json.dumps(problem["input"], default=str, ensure_ascii=False)[:_LONGEST_SHOWN]
            faults.append(f"{key} {shown} ({problem['msg'].lower()})")
    return faults
