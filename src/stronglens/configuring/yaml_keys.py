"""Reading YAML, with the line of what is wrong; and what YAML reads as something else than it says, without a
word: keys given twice, numbers such as 042.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from stronglens.running.errors import InputError
from stronglens.running.explain import Location, dotted

_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_PLAIN = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?\.inf|\.nan", re.I)
# Not numbers in YAML, but settings turn text into numbers: 089 into 89, 01e-3 into 0.001, 1_0e1 into 100.
_AS_TEXT = re.compile(r"[+-]?(0[0-9_]+|0[xob][0-9a-f_]+|[0-9]+_[0-9_]*)(\.[0-9_]*)?([eE][+-]?[0-9_]+)?", re.I)


def read_yaml(path: Path) -> Any:
    """Read a YAML file written by hand.

    Raises
    ------
    InputError
        It is missing, no text, or no YAML: with line, column and the line itself.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a text file, found: {error}") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(_where(path, text, error)) from error


def _where(path: Path, text: str, error: yaml.YAMLError) -> str:
    """Say which line is no YAML, show it, and what usually mends it."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return f"{path}: expected YAML, found: {error}"
    begun = getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    lines = text.splitlines()
    number = min(mark.line, len(lines) - 1)
    line = lines[number]
    if "\t" in line[: len(line) - len(line.lstrip())]:
        says = "a tab; indent with spaces"
        column = line.index("\t")
    elif begun is not None and begun.line != mark.line and "flow" in str(getattr(error, "context", "")):
        number, column, line = begun.line, begun.column, lines[begun.line]
        says = f"{line[column]} is never closed"
    elif begun is not None and "quoted" in str(getattr(error, "context", "")):
        number, column, line = begun.line, begun.column, lines[begun.line]
        says = "a quotation mark is never closed"
    else:
        column = mark.column
        problem = problem.replace("mapping values are not allowed here", "a colon where no key can be")
        says = f"{problem}; is the indentation here, and in the line above, that of its neighbours?"
    shown = line.replace("\t", " ")
    return f"{path}, line {number + 1}, column {column + 1}: {says}\n  {shown}\n  {' ' * column}^"


def misread(path: Path) -> list[str]:
    """Find keys given more than once in one block, and numbers that are read as others.

    YAML keeps the last of two keys. It reads 042 as 34, 0x10 as 16, 1_0 as 10 and 1:30 as 90; version 1.2
    of it reads 042 as 42. A number has to be plain decimal; text that looks like such a number, quoted.

    Returns
    -------
    list of str
        Location and lines of each; empty if the file is missing or no YAML: whoever reads it will say so.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []
    return list(_misread(root, (), set()))


def _misread(node: yaml.Node | None, location: Location, seen: set[int]) -> Iterator[str]:
    if id(node) in seen:  # an alias, which may even lead to itself
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield from _other_number(node, location)
    elif isinstance(node, yaml.SequenceNode):
        for number, inner in enumerate(node.value):
            yield from _misread(inner, (*location, number), seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                yield f"{dotted((*location, name))}: given twice, in lines {lines[name]} and {line}"
            lines[name] = line
            yield from _misread(key, (*location, name), seen)
            yield from _misread(value, (*location, name), seen)


def _other_number(node: yaml.ScalarNode, location: Location) -> Iterator[str]:
    text = node.value
    if node.style is not None or _PLAIN.fullmatch(text):
        return
    if node.tag in _NUMBERS or _AS_TEXT.fullmatch(text):
        decimal = re.sub(r"^([+-]?)0+(?=[0-9])", r"\1", text.replace("_", ""))
        number = f"{decimal}, " if _PLAIN.fullmatch(decimal) else ""
        yield (
            f"{dotted(location)}: line {node.start_mark.line + 1}: expected a plain decimal number, found "
            f"{text}, which YAML reads as another number; write {number}or '{text}' if it is text"
        )
