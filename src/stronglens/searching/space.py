"""From the keys that are searched to values, and from values to a member's settings."""

import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from stronglens.running.errors import InputError
from stronglens.running.explain import explain
from stronglens.settings.member import MemberSettings
from stronglens.settings.search import Dimension


def field_of(key: str) -> FieldInfo | None:
    """The definition of a key of a model block, such as `train.lr`; None where there is no such key."""
    field: FieldInfo | None = None
    kind: Any = MemberSettings
    for part in key.split("."):
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)) or part not in kind.model_fields:
            return None
        field = kind.model_fields[part]
        kind = field.annotation
    return field


def number_type(key: str) -> type[int] | type[float] | None:
    """Whether a key takes integers or other numbers; None if it takes neither."""
    field = field_of(key)
    if field is None:
        return None
    kinds = {field.annotation, *get_args(field.annotation)}
    return float if float in kinds else int if int in kinds else None


def with_values(member: MemberSettings, values: Mapping[str, Any]) -> dict[str, Any]:
    """A member's settings, as plain values, with some keys changed; not checked."""
    settings = member.model_dump(mode="json")
    for key, value in values.items():
        *blocks, last = key.split(".")
        block = settings
        for name in blocks:
            block = block[name]
        block[last] = value
    return settings


def settings_with(member: MemberSettings, values: Mapping[str, Any]) -> MemberSettings:
    """A member's settings with some keys changed.

    Raises
    ------
    InputError
        The values do not go together.
    """
    try:
        return MemberSettings.model_validate(with_values(member, values))
    except ValidationError as error:
        raise InputError(explain(error.errors(), MemberSettings, "these settings")) from error


def written(choice: Any) -> str | int | float | bool | None:
    """A choice as a study keeps it: lists and blocks as JSON, all else as it is."""
    if choice is None or isinstance(choice, str | int | float | bool):
        return choice
    return json.dumps(choice, sort_keys=True, ensure_ascii=False)


def read(dimension: Dimension, value: Any) -> Any:
    """What a study keeps of a value, as the value that the key takes."""
    if dimension.choices is None:
        return value
    return next(choice for choice in dimension.choices if _same(written(choice), value))


def _same(one: Any, other: Any) -> bool:
    # For Python, True and 1 are equal.
    return type(one) is type(other) and bool(one == other)


def in_words(value: Any) -> str:
    """A value for logs and figures."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
