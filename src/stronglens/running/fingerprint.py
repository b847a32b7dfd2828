"""Which code a step runs: a short value for each module, which changes with what the module computes.

Comments, docstrings and layout do not count, nor does the minor version of Python. Rules take the values as
parameters; resume states and trials of a search belong to one code by them; the record of a submission holds
them.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = "stronglens"
LIBRARY = Path(__file__).parents[1]

EXEMPT = {
    "stronglens": "names what the library offers, which is loaded when asked for",
    "stronglens.running": "the package itself, which is empty",
    "stronglens.running.cli": "parses options, sets up the log, and turns errors into exit codes",
    "stronglens.running.collection": "says when Python searches for garbage, which only frees memory",
    "stronglens.running.errors": "two classes of errors, which end a step",
    "stronglens.running.explain": "words for wrong settings, with which a step ends before it begins",
    "stronglens.running.fingerprint": "names the code, in identities and records",
    "stronglens.running.gpu_lock": "waits for a GPU; which one it is, is no part of a result",
    "stronglens.running.lease": "waits until no other job writes the same files, or refuses",
    "stronglens.running.progress": "passes items on as they are, and counts them",
    "stronglens.running.threads": "sets how idle threads wait",
    "stronglens.running.tracker": "writes curves for whoever watches, which no step reads",
    "stronglens.running.worker_processes": "starts processes, and ends them with their parent",
}
"""Modules that change no result, and why; `tests/unit/running/test_fingerprint.py` proves it of each."""

SETTINGS = f"{PACKAGE}.settings"
"""Package of classes whose values travel to a step as parameters. What its modules declare (fields, checks,
names of types) does not count; what they compute (constants, functions, methods) counts for the steps that
import it."""

_VALIDATORS = {"field_validator", "model_validator"}
_TYPES = {"Annotated", "Literal"}
_READS_FILES = ("'__file__'", "'importlib.resources", "'PackageLoader'")
"""What is in the code of a module that reads data files of its package."""

_IGNORED_FIELDS = {"ctx", "kind", "type_comment", "type_ignores"}
"""Fields of the syntax tree that follow from others, or are comments."""

_ATOMS = {str, bytes, int, float, complex, bool, type(None), type(...)}
"""Kinds of values in the syntax tree that are no nodes."""


class _Unit(NamedTuple):
    """What changes as one: a module, or a definition in a module of settings."""

    digest: str
    """Empty where nothing is computed."""
    imports: frozenset[str]
    """Dotted names in the library that it needs."""
    reads_files: bool


def fingerprint(*files: Path, library: Path = LIBRARY) -> dict[str, str]:
    """Give a value to each module that a script runs, directly or through others, and to the script.

    Imports anywhere in a file count, also those inside functions.

    Parameters
    ----------
    *files : Path
        Scripts, or modules of the library.
    library : Path
        Folder of the package; by default the one that this module belongs to.

    Returns
    -------
    dict
        12 hexadecimal digits for each script (by its file name), module (by its dotted name), definition in a
        module of settings, and data file beside a module that reads such files (by its path); none where
        nothing is computed. Sorted by name. Equal code gives equal values under Python 3.11 to 3.13.

    Raises
    ------
    FileNotFoundError
        A file is not there.
    SyntaxError
        A file is no Python, imports relatively, or is of the settings and does something else than define.
    """
    found: dict[str, _Unit] = {}
    data: dict[str, str] = {}
    waiting = [_units(file, _name_of(file, library)) for file in files]
    while waiting:
        for name, unit in waiting.pop().items():
            if name in found:
                continue
            found[name] = unit
            waiting += [_units_of(needed, library) for needed in unit.imports]
            if unit.reads_files and name.startswith(f"{PACKAGE}."):
                data |= _data_files(library.joinpath(*name.split(".")[1:-1]), library)
    code = {name: unit.digest for name, unit in found.items() if unit.digest}
    return dict(sorted((code | data).items()))


def in_words(values: Mapping[str, str]) -> list[str]:
    """A fingerprint as a list, an entry a module: `stronglens.training.fit 1a2b3c4d5e6f`."""
    return [f"{name} {digest}" for name, digest in values.items()]


def code_sha256(*files: Path) -> str:
    """SHA-256 of a fingerprint, for those who compare code as a whole."""
    return hashlib.sha256(json.dumps(fingerprint(*files)).encode()).hexdigest()


def step_sha256(module: str) -> str:
    """SHA-256 of the code of the running step.

    Parameters
    ----------
    module : str
        `__file__` of the module that computes. It counts with all that it imports, and so does the running
        script, if there is one.
    """
    main = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    scripts = [main] if main.suffix == ".py" and main.is_file() else []
    return code_sha256(*scripts, Path(module))


def _name_of(file: Path, library: Path) -> str:
    if not file.is_relative_to(library):
        return file.name
    return ".".join((PACKAGE, *file.relative_to(library).with_suffix("").parts)).removesuffix(".__init__")


def _is_of_settings(name: str) -> bool:
    return f"{name}.".startswith(f"{SETTINGS}.")


@cache
def _units_of(name: str, library: Path) -> dict[str, _Unit]:
    """What runs when a name such as `stronglens.settings.data.BUCKETS` is imported."""
    units: dict[str, _Unit] = {}
    parts = name.split(".")
    for n_parts in range(1, len(parts) + 1):
        module = ".".join(parts[:n_parts])
        path = library.joinpath(*parts[1:n_parts])
        for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if module not in EXEMPT and file.is_file():
                units |= _units(file, module)
    if name not in units:
        return units
    # Of a module of settings one definition is meant.
    return {one: unit for one, unit in units.items() if one == name or not _is_of_settings(one)}


@cache
def _units(file: Path, name: str) -> dict[str, _Unit]:
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
        if _is_of_settings(name):
            return dict(_definitions(tree, name))
        return {name: _unit(*_canonical(tree.body))}
    except _NotAllowedError as error:
        raise SyntaxError(f"{file}: {error}") from None


def _unit(text: str, imports: Iterable[str]) -> _Unit:
    ours = frozenset(name for name in imports if name == PACKAGE or name.startswith(f"{PACKAGE}."))
    return _Unit(_digest(text.encode()) if text else "", ours, any(word in text for word in _READS_FILES))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _definitions(tree: ast.Module, module: str) -> Iterator[tuple[str, _Unit]]:
    """The definitions in a module of settings, without what is declared."""
    origin: dict[str, str] = {}
    definitions: dict[str, ast.stmt] = {}
    for statement in tree.body:
        match statement:
            case ast.Import() | ast.ImportFrom():
                names = [alias.asname or alias.name for alias in statement.names]
                origin |= dict(zip(names, _imported(statement), strict=True))
            case ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)):
                definitions[name] = statement
            case ast.FunctionDef(name) | ast.ClassDef(name):
                definitions[name] = statement
            case ast.Expr(ast.Constant()):
                pass
            case _:
                raise _NotAllowedError(f"line {statement.lineno}: expected an import or a definition")
    origin |= {name: f"{module}.{name}" for name in definitions}
    for name, statement in definitions.items():
        text, used = _computed(statement)
        yield f"{module}.{name}", _unit(text, {origin[one] for one in used if one in origin})


def _computed(definition: ast.stmt) -> tuple[str, set[str]]:
    """What a definition in settings computes, as text, and the names that it uses."""
    parts: list[ast.AST] = [definition]
    computes = True
    match definition:
        case ast.Assign(value=ast.Subscript(ast.Name(name))) if name in _TYPES:
            return "", set()
        case ast.ClassDef(body=body):
            # Types of fields: settings hold settings, whose methods may be called through them.
            parts += [field.annotation for field in body if isinstance(field, ast.AnnAssign)]
            definition.body = [part for part in body if not _is_declared(part)]
            computes = bool(definition.body)
    used = {node.id for part in parts for node in ast.walk(part) if isinstance(node, ast.Name)}
    return _canonical([definition])[0] if computes else "", used


def _is_declared(part: ast.stmt) -> bool:
    match part:
        case ast.AnnAssign() | ast.Assign(targets=[ast.Name("model_config")]) | ast.Expr(ast.Constant()):
            return True
        case ast.FunctionDef(decorator_list=decorators):
            called = (one.func if isinstance(one, ast.Call) else one for one in decorators)
            return any(isinstance(one, ast.Name) and one.id in _VALIDATORS for one in called)
    return False


def _data_files(folder: Path, library: Path) -> dict[str, str]:
    """What is not Python below a folder of the library, by its bytes."""
    return {
        f"{PACKAGE}/{path.relative_to(library).as_posix()}": _digest(path.read_bytes())
        for path in folder.rglob("*")
        if path.suffix not in {".py", ".pyc"} and path.is_file()
    }


class _NotAllowedError(Exception):
    """Code that a fingerprint cannot follow."""


def _imported(statement: ast.Import | ast.ImportFrom) -> list[str]:
    """Dotted names that a statement imports: a module or a name in one, it need not be known which."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if statement.level:
        raise _NotAllowedError(f"relative import in line {statement.lineno}: write it in full, {PACKAGE}.…")
    return [f"{statement.module}.{alias.name}" for alias in statement.names]


def _canonical(body: list[ast.stmt]) -> tuple[str, set[str]]:
    """Write statements as text that is equal for equal code, and collect what they import.

    `ast.dump` is another under each minor version: of fields, and of f-strings in parts.
    """
    out: list[str] = []
    imports: set[str] = set()
    _write_list(body, out.append, imports)
    return "".join(out), imports


@cache
def _labels(kind: type[ast.AST]) -> tuple[str, tuple[tuple[str, str], ...]]:
    fields = ((field, f" {field}=") for field in kind._fields if field not in _IGNORED_FIELDS)
    return f"{kind.__name__}(", tuple(fields)


def _write(node: Any, write: Callable[[str], None], imports: set[str]) -> None:
    kind = node.__class__
    if kind is ast.Import or kind is ast.ImportFrom:
        imports.update(_imported(node))
    elif kind is ast.JoinedStr:
        node.values = list(_joined(node.values))
    opening, fields = _labels(kind)
    write(opening)
    for field, label in fields:
        value = getattr(node, field, None)
        # What a version has no field for is as what is empty.
        if value is None or value == []:
            continue
        write(label)
        if value.__class__ is list:
            write("[")
            _write_list(value, write, imports)
            write("]")
        elif value.__class__ in _ATOMS:
            write(ascii(value))  # `repr` asks the version's table of characters what can be printed
        else:
            _write(value, write, imports)
    write(")")


def _write_list(values: list[Any], write: Callable[[str], None], imports: set[str]) -> None:
    for value in values:
        kind = value.__class__
        if kind is ast.Pass or (kind is ast.Expr and value.value.__class__ is ast.Constant):
            continue  # docstrings, of attributes too, and whatever else does nothing
        if kind in _ATOMS:
            write(ascii(value))
        else:
            _write(value, write, imports)
        write(",")


def _joined(values: Iterable[ast.expr]) -> Iterator[ast.expr]:
    """Parts of an f-string, its text in pieces as long as can be: `f"a" "b"` is as `f"ab"`."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
            continue
        if text:
            yield ast.Constant(text)
        text = ""
        yield value
    if text:
        yield ast.Constant(text)
