"""Searches of a config, checked before anything runs: every value that may be tried is one its key takes."""

import difflib
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from stronglens.running.errors import InputError
from stronglens.running.explain import Location, explain
from stronglens.searching.space import field_of, number_type, settings_with, with_values, written
from stronglens.settings.member import MemberSettings
from stronglens.settings.search import Dimension, SearchSettings

NOT_SEARCHED = {
    "bands": "validation scores of single cutouts and of objects cannot be compared",
    "domains": "validation scores on other objects cannot be compared",
    "train.val_fraction": "validation scores on other objects cannot be compared",
    "train.test_fraction": "trials are not scored on the test split",
    "train.tracker": "it changes no result",
    "train.deterministic": "it decides on the arithmetic, not on the network",
}
"""Keys that no search may vary, and why."""

_N_TRIED = 64

Contradictions = Callable[[MemberSettings], Iterable[tuple[Location, str]]]


def wrong_space(
    search: SearchSettings, member: MemberSettings, contradictions: Contradictions
) -> Iterator[tuple[Location, str]]:
    """Find what is wrong with what a search tries.

    Parameters
    ----------
    search : SearchSettings
        What is tried.
    member : MemberSettings
        What it is tried on.
    contradictions : callable
        Says what contradicts the rest of the config in a member's settings.

    Yields
    ------
    tuple
        The location, from `space` on, and what is wrong there. Keys that only do not go together are reported
        where no combination of many does: some may fail, and are trials that fail.
    """
    faulty = False
    for key, dimension in search.space.items():
        for location, text in _wrong_dimension(key, dimension, member, contradictions):
            faulty = True
            yield ("space", key, *location), text
    if not faulty:
        yield from _wrong_together(search, member)


def canonical_space(search: SearchSettings, member: MemberSettings) -> dict[str, Dimension]:
    """The space with every choice as its key takes it: two ways of writing a value are one."""
    return {
        key: dimension
        if dimension.choices is None
        else dimension.model_copy(
            update={"choices": [_taken(member, key, choice) for choice in dimension.choices]}
        )
        for key, dimension in search.space.items()
    }


def _wrong_dimension(
    key: str, dimension: Dimension, member: MemberSettings, contradictions: Contradictions
) -> Iterator[tuple[Location, str]]:
    field = field_of(key)
    if field is None:
        known = list(_keys(MemberSettings, ""))
        close = difflib.get_close_matches(key, known, n=1) or [
            one for one in known if one.endswith(f".{key}")
        ]
        hint = f"did you mean {close[0]}?" if close else "for example train.lr or network.drop_path"
        yield (), f"unknown key of a model block; {hint}"
        return
    if key in NOT_SEARCHED:
        yield (), f"cannot be searched: {NOT_SEARCHED[key]}; make it a key of a model of its own"
        return
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        inner = next(_keys(field.annotation, f"{key}."))
        yield (), f"is a block, expected a key in it; for example {inner}"
        return
    kind = number_type(key)
    if dimension.choices is None and kind is None:
        example = field.examples[0] if field.examples else "true"
        yield (), f"found a range, but it takes no numbers; for example choices: [{example}]"
        return
    if dimension.step is not None and kind is int and dimension.step % 1:
        yield ("step",), f"found {dimension.step:g}, but it takes integers; for example step: 1"
    values: list[tuple[Location, Any]] = [
        (("low",), dimension.low),
        (("high",), dimension.high),
    ]
    if dimension.choices is not None:
        values = [(("choices", number), choice) for number, choice in enumerate(dimension.choices)]
    seen: list[Any] = []
    for location, value in values:
        wrong = _wrong_value(key, value, member)
        if wrong is None:
            wrong = next(iter(_contradicted(key, value, member, contradictions)), None)
        if wrong is not None:
            yield location, wrong
        elif dimension.choices is not None:
            taken = written(_taken(member, key, value))
            if taken in [one for one in seen if type(one) is type(taken)]:
                yield location, f"found {taken} a second time"
            seen.append(taken)


def _keys(kind: type[BaseModel], prefix: str) -> Iterator[str]:
    """All keys of a block and of the blocks in it."""
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _wrong_value(key: str, value: Any, member: MemberSettings) -> str | None:
    """What is wrong with a value by itself."""
    location = tuple(key.split("."))
    try:
        MemberSettings.model_validate(with_values(member, {key: value}))
    except ValidationError as error:
        own = [problem for problem in error.errors() if problem["loc"][: len(location)] == location]
        if own:
            # Without the location, which is another here.
            return explain(own, MemberSettings, "", lambda _: "").split("\n")[0].removeprefix(": : ")
    return None


def _contradicted(
    key: str, value: Any, member: MemberSettings, contradictions: Contradictions
) -> Iterator[str]:
    """What contradicts the rest of the config; what does not go with the model's own is left to the trial."""
    try:
        settings = settings_with(member, {key: value})
    except InputError:
        return
    for _, text in contradictions(settings):
        yield text


def _taken(member: MemberSettings, key: str, value: Any) -> Any:
    """A value as its key takes it: a number for "1e-4", which YAML reads as text."""
    location = key.split(".")
    block: Any = MemberSettings
    for part in location[:-1]:
        block = block.model_fields[part].annotation
    # The key alone, on its class's defaults: with the model's other settings it may not go together.
    try:
        taken = block.model_validate({location[-1]: value}).model_dump(mode="json")[location[-1]]
    except ValidationError:
        try:
            taken = settings_with(member, {key: value}).model_dump(mode="json")
        except InputError:
            return value
        for part in location:
            taken = taken[part]
    return taken


def _wrong_together(search: SearchSettings, member: MemberSettings) -> Iterator[tuple[Location, str]]:
    draw = random.Random(0)  # noqa: S311 - no secret
    first = ""
    for _ in range(_N_TRIED):
        values = {
            key: draw.choice(dimension.choices or [dimension.low, dimension.high])
            for key, dimension in search.space.items()
        }
        try:
            settings_with(member, values)
        except InputError as error:
            first = first or str(error)
        else:
            return
    yield ("space",), f"of {_N_TRIED} settings none goes together: {first}"
