"""Telling the user which settings are wrong, and what to write instead."""

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Location = tuple[int | str, ...]
"""Where a setting stands: the keys that lead to it, and its number in a list."""

CONTRADICTION = "contradiction"
"""Type of a problem between settings, each of which is right by itself; its message says all."""

_LONGEST_SHOWN = 60

_PLAIN = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "a text",
    "list_type": "a list",
    "finite_number": "a finite number",
    "none_required": "null",
}
"""What is expected, by pydantic's types of problems, where its own words are of programming."""


class _Setting(NamedTuple):
    location: Location
    key: str
    field: FieldInfo | None
    siblings: list[str]


def dotted(location: Location) -> str:
    """Write the location of a setting as in `models.nano.train.lr`."""
    return ".".join(str(part) for part in location) or "the whole"


def explain(
    problems: Iterable[Any], root: type[BaseModel], where: str, name: Callable[[Location], str] = dotted
) -> str:
    """Say for each wrong setting where it stands, what was found, and what to write instead.

    Parameters
    ----------
    problems : iterable of dict
        What `pydantic.ValidationError.errors()` gives.
    root : type of BaseModel
        The class that was validated: examples and the names of known keys come from its fields.
    where : str
        What holds the settings: a file name, or "command line".
    name : callable
        Writes the location of a setting.

    Returns
    -------
    str
        A line for each wrong setting.
    """
    settings: dict[Location, _Setting] = {}
    found: dict[Location, list[Any]] = {}
    for problem in problems:
        setting = _find(root, problem["loc"])
        settings[setting.location] = setting
        # A setting that may be one of several kinds has a problem for each kind.
        found.setdefault(setting.location, []).append(problem)
    return "\n".join(
        f"{where}: {name(location)}: {_message(setting, found[location])}"
        for location, setting in settings.items()
    )


def _find(root: type[BaseModel], loc: Location) -> _Setting:
    """Follow pydantic's location through the classes of the settings.

    Returns
    -------
    location
        As the user wrote it: without the marks that pydantic adds for keys and for kinds of values.
    key, field
        Name and definition of the innermost known setting on the way.
    siblings
        The keys that are known where the last part stands.
    """
    annotation: Any = root
    location: list[int | str] = []
    key, field = "", None
    siblings: list[str] = []
    for part in loc:
        kinds = list(_kinds(annotation))
        if part == "[key]":
            continue
        if len(kinds) > 1:  # the part names the kind that was tried
            annotation = None
            continue
        kind = kinds[0] if kinds else None
        location.append(part)
        siblings = []
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            siblings = list(kind.model_fields)
            key, field = str(part), kind.model_fields.get(str(part))
            annotation = field.annotation if field else None
        else:
            annotation = get_args(kind)[-1] if get_args(kind) else None
    return _Setting(tuple(location), key, field, siblings)


def _kinds(annotation: Any) -> Iterator[Any]:
    """The kinds that a value may be of, but for None, which pydantic's locations do not name."""
    if get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for inner in get_args(annotation):
            yield from _kinds(inner)
    elif annotation is not None and annotation is not NoneType:
        yield annotation


def _message(setting: _Setting, problems: Sequence[Any]) -> str:
    first = problems[0]
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(setting.location[-1]), setting.siblings, n=1)
        return "unknown key; " + (
            f"did you mean {close[0]}?" if close else f"known keys here: {', '.join(setting.siblings)}"
        )
    if first["type"] == "missing":
        text = "missing; it has no default"
    elif first["type"] in (CONTRADICTION, "value_error"):
        text = first["msg"].removeprefix("Value error, ")
    else:
        text = f"found {_shown(first['input'])}, {' or '.join(_expected(problem) for problem in problems)}"
        text = text.replace(" or expected ", " or ")
    if setting.field is None or "for example" in text or first["type"] == CONTRADICTION:
        return text
    example = _example(setting.field)
    return f"{text}; for example {setting.key}: {example}" if example else text


def _expected(problem: Any) -> str:
    if problem["type"] in ("model_type", "dict_type"):
        return "expected a block of keys"
    limits = problem.get("ctx", {})
    if problem["type"] in ("too_short", "too_long"):
        least = problem["type"] == "too_short"
        n = limits["min_length" if least else "max_length"]
        return f"expected {'at least' if least else 'at most'} {n} {'entry' if n == 1 else 'entries'}"
    if problem["type"] in ("string_too_short", "string_pattern_mismatch"):
        pattern = limits.get("pattern")
        return f"expected a text that matches {pattern}" if pattern else "expected a text that is not empty"
    plain = _PLAIN.get(problem["type"])
    if plain:
        return f"expected {plain}"
    text = str(problem["msg"]).partition(", unable to parse")[0]
    if text.startswith("Input should be "):
        return "expected " + text.removeprefix("Input should be ")
    return f"but {text[:1].lower()}{text[1:]}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _example(field: FieldInfo) -> str | None:
    """An example of a value; of a block without one, the examples of the keys that it cannot do without."""
    if field.examples:
        return str(field.examples[0])
    for kind in _kinds(field.annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            required = {key: inner for key, inner in kind.model_fields.items() if inner.is_required()}
            if required:
                return "{" + ", ".join(f"{key}: {_example(inner)}" for key, inner in required.items()) + "}"
    return None
