"""What all settings have in common."""

from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Settings(BaseModel):
    """Settings of one step: unknown keys are errors, values never change, docstrings are descriptions."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False, validate_default=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML takes yes, no, on and off for true and false, and Python takes those for 1 and 0."""
        field = cls.model_fields[str(info.field_name)]
        given = value if isinstance(value, list) else [value]
        if isinstance(value, dict) and get_origin(field.annotation) is dict:
            given = list(value.values())
        if any(isinstance(one, bool) for one in given) and not _takes(field.annotation, bool):
            raise ValueError(f"found {str(value).lower()}, expected something else than true or false")
        return value


def _takes(annotation: Any, kind: type) -> bool:
    """Whether a kind of values, or anything, is among those that an annotation names."""
    if annotation in (kind, Any):
        return True
    return any(_takes(inner, kind) for inner in get_args(annotation))
