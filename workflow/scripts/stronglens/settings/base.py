"""What all settings have in common, and how a wrong one is explained."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo


class Settings(BaseModel):
    """Settings of one step: unknown keys are errors, values never change, docstrings are descriptions."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False, validate_default=True
    )

    def canonical_json(self) -> str:
        """All values as JSON with keys in fixed order: equal settings give equal text."""
        import json  # noqa: PLC0415

        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def explain(error: ValidationError, root: type[BaseModel], where: str) -> str:
    """Say for each wrong setting its path, what was found, what was expected and an example of a right one.

    Parameters
    ----------
    error : ValidationError
        What pydantic found.
    root : type of BaseModel
        The class that was validated: examples and the names of known keys come from its fields.
    where : str
        What holds the settings: a file name, or "the command line".
    """
    lines = []
    for problem in error.errors(include_url=False):
        path = [part for part in problem["loc"] if not _is_branch(part)]
        field, siblings = _find_field(root, path)
        name = ".".join(str(part) for part in path) or "the whole"
        line = f"{where}: {name}: {_message(problem)}"
        if problem["type"] == "extra_forbidden":
            line += f"; known keys here: {', '.join(siblings)}" if siblings else ""
        elif field is not None and field.examples:
            line += f"; for example {path[-1]}: {field.examples[0]}"
        lines.append(line)
    return "\n".join(dict.fromkeys(lines))


def _is_branch(part: int | str) -> bool:
    # pydantic adds the names of union branches to the path of an error; the user never wrote them.
    return isinstance(part, str) and ("[" in part or part in {"str", "int", "float", "bool", "each"})


def _message(problem: Any) -> str:
    found = problem.get("input")
    if problem["type"] == "extra_forbidden":
        return "unknown key"
    if problem["type"] == "missing":
        return "missing; it has no default"
    text = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error" or isinstance(found, dict):
        return text
    return f"found {found!r}: {text[:1].lower()}{text[1:]}"


def _find_field(root: type[BaseModel], path: list[int | str]) -> tuple[FieldInfo | None, list[str]]:
    model: Any = root
    field: FieldInfo | None = None
    for part in path:
        if model is None:  # inside a mapping of blocks, this part is a block's name
            return field, []
        fields = model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
        if part in fields:
            field = fields[str(part)]
            model = _block_of(field.annotation)
        elif fields:
            return None, list(fields)
    fields = model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
    return field, list(fields)


def _block_of(annotation: Any) -> Any:
    """The settings class inside an annotation such as `dict[str, Model]` or `Model | None`, else None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        block = _block_of(inner)
        if block is not None:
            return block
    return None
