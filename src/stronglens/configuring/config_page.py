"""The page and the schema that describe the config, made from its classes so that they cannot drift."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from stronglens.configuring.config import RESERVED_TESTSETS, Config

_INTRODUCTION = f"""# The config

<!-- Made by `python workflow/scripts/document_config.py` from the classes of the config: do not edit. -->

A config says what is computed, and nothing else: where and how the jobs run is in `profiles/`.

Exactly one config is loaded, and no key of another survives in it:

1. the one given with `--configfile`,
2. else `config/local.yaml`, if you made one (git ignores it),
3. else `config/config.yaml`, the embedded default on simulated data.

For the challenge copy `config/challenge.yaml` to `config/local.yaml` and edit the five paths in it.
`config/challenge_grizy.yaml` stacks the five bands instead; its settings have been
measured on simulated data alone.

- A key that does not exist, or a value out of its range, stops the run before anything is computed. The
  message names the key, what was found and what to write instead.
- A setting of a member comes from `seed_overrides` if it is written there, else from its model, else from
  the default below.
- Names of models, ensembles and test sets consist of letters, digits and `_` and begin with a letter. Test
  sets cannot be called {", ".join(f"`{name}`" for name in RESERVED_TESTSETS)}.
- A change reruns what depends on it, and nothing else. The order of keys means nothing.
- Editors that know JSON schemas check and complete a config by `config/schema.json`.

In the tables, `NAME` stands for a name of your choice. Numbers without a unit are pure numbers.
"""

_UNITS = {
    "_px": "pixels",
    "guided_eps": "counts²",
    "guided_eps_in_noise": "noise²",
    "asinh_softening": "counts",
    "asinh_softening_of_band": "counts",
    "epochs": "epochs",
    "patience": "epochs",
    "cooldown": "epochs",
    "batch_size": "samples",
    "_objects": "objects",
    "objects_per_bucket": "objects",
}
"""Unit of a number by the ending of its key."""


def config_schema() -> str:
    """The JSON schema of a config."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    return json.dumps(_with_real_examples(schema), indent=2, ensure_ascii=False) + "\n"


def _with_real_examples(schema: Any) -> Any:
    """The classes give examples as the text that a user writes; a schema has values."""
    if isinstance(schema, list):
        return [_with_real_examples(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: [yaml.safe_load(str(example)) for example in value]
        if key == "examples"
        else _with_real_examples(value)
        for key, value in schema.items()
    }


def config_page() -> str:
    """A page in Markdown: for each block a table of its keys with type, unit, range and default."""
    schema = Config.model_json_schema()
    sections = [
        f"\n## {_heading(location)}\n\n{_one_line(block['description'])}\n\n" + _table(schema, block)
        for location, block in _blocks(schema, schema, "")
    ]
    return _INTRODUCTION + "".join(sections)


def _heading(location: str) -> str:
    return f"`{location}`" if location else "Blocks"


def _blocks(
    schema: Mapping[str, Any], block: Mapping[str, Any], location: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A block and all blocks in it, each with its place; a member's settings are not told again per seed."""
    yield location, block
    for key, value in block["properties"].items():
        inner, is_named = _block_of(schema, value)
        if inner is not None and key != "seed_overrides":
            deeper = f"{location}.{key}".lstrip(".") + (".NAME" if is_named else "")
            yield from _blocks(schema, inner, deeper)


def _block_of(schema: Mapping[str, Any], value: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, bool]:
    """The block that a key holds, if it holds one, and whether it holds several by name."""
    for kind in _kinds(schema, value):
        if "properties" in kind:
            return kind, False
        if _values(kind):
            return _block_of(schema, _values(kind))[0], True
    return None, False


def _kinds(schema: Mapping[str, Any], value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The kinds of value that a key takes, with references followed."""
    if "$ref" in value:
        return [schema["$defs"][value["$ref"].rpartition("/")[2]]]
    return (
        [kind for inner in value["anyOf"] for kind in _kinds(schema, inner)] if "anyOf" in value else [value]
    )


def _table(schema: Mapping[str, Any], block: Mapping[str, Any]) -> str:
    lines = ["| key | type | unit | range | default | description |", "| --- | --- | --- | --- | --- | --- |"]
    for key, value in block["properties"].items():
        kinds = _kinds(schema, value)
        cells = [
            f"`{key}`",
            " or ".join(_type(schema, kind) for kind in kinds),
            _unit(key, kinds),
            "; ".join(filter(None, (_range(kind) for kind in kinds))),
            _default(key, value, block),
            _one_line(value["description"]),
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _type(schema: Mapping[str, Any], kind: Mapping[str, Any]) -> str:
    if "enum" in kind:
        return ", ".join(f"`{json.dumps(choice).strip(chr(34))}`" for choice in kind["enum"])
    if "const" in kind:
        return f"`{kind['const']}`"
    if kind.get("type") == "array":
        return f"list of {_type(schema, kind['items'])}s" if kind["items"] else "list of values"
    if "properties" in kind:
        return "block"
    if kind.get("type") == "object":
        each = " or ".join(_type(schema, value) for value in _kinds(schema, _values(kind)) if value)
        keys = kind.get("propertyNames", {}).get("enum", ())
        return f"{each or 'any value'} for each of {', '.join(f'`{key}`' for key in keys) or 'your keys'}"
    return {
        "string": "text",
        "number": "number",
        "integer": "integer",
        "boolean": "`true` or `false`",
        "null": "`null`",
    }[kind["type"]]


def _values(kind: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the keys of a mapping hold; empty if they may hold anything, or for another kind of value."""
    if "patternProperties" in kind:
        return dict(next(iter(kind["patternProperties"].values())))
    values = kind.get("additionalProperties")
    return values if isinstance(values, Mapping) else {}


def _unit(key: str, kinds: list[Mapping[str, Any]]) -> str:
    if not any(kind.get("type") in ("number", "integer", "object") for kind in kinds):
        return ""
    return next((unit for ending, unit in _UNITS.items() if key.endswith(ending)), "")


def _range(kind: Mapping[str, Any]) -> str:
    if kind.get("type") == "array":
        least = f"at least {kind['minItems']}" if "minItems" in kind else ""
        return "; ".join(filter(None, (least, _range(kind["items"]))))
    if kind.get("type") == "object":
        return _range(_values(kind))
    if "minimum" in kind and "maximum" in kind:
        return f"{kind['minimum']} to {kind['maximum']}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {kind[bound]}" for bound, sign in signs.items() if bound in kind]
    return ", ".join(bounds) or (f"`{kind['pattern']}`" if "pattern" in kind else "")


def _default(key: str, value: Mapping[str, Any], block: Mapping[str, Any]) -> str:
    if key in block.get("required", ()):
        return "none: must be given"
    default = value["default"]
    if isinstance(default, Mapping) and default:
        return "as below"
    return f"`{json.dumps(default).replace(chr(34), '')}`"


def _one_line(text: str) -> str:
    return " ".join(text.split())
