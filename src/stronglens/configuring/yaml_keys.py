"""Keys that a YAML file gives twice: YAML keeps the last without a word."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from stronglens.running.explain import Place, dotted


def repeated_keys(path: Path) -> list[str]:
    """Find keys given more than once in one block.

    Returns
    -------
    list of str
        Place and lines of each; empty if the file is missing or no YAML: whoever reads it will say so.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []
    return [
        f"{dotted(place)}: given twice, in lines {first + 1} and {second + 1}"
        for place, first, second in _repeated(root, ())
    ]


def _repeated(node: yaml.Node | None, place: Place) -> Iterator[tuple[Place, int, int]]:
    if isinstance(node, yaml.SequenceNode):
        for number, inner in enumerate(node.value):
            yield from _repeated(inner, (*place, number))
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in lines:
                yield (*place, name), lines[name], key.start_mark.line
            lines[name] = key.start_mark.line
            yield from _repeated(value, (*place, name))
