"""What counts as code of a step: all that it imports and that computes something, and nothing else."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stronglens.running import cli, errors, worker_processes
from stronglens.running.fingerprint import EXEMPT, LIBRARY, code_sha256, fingerprint, in_words, step_sha256
from stronglens.running.progress import progress
from stronglens.settings.base import Settings

ROOT = Path(__file__).parents[3]
SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))
MODULES = sorted(LIBRARY.rglob("*.py"))


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            "stronglens/__init__.py": "a = 1",
            "stronglens/leaf.py": "import json",
            "stronglens/other.py": "import stronglens.step",
            "stronglens/deep/__init__.py": "a = 2",
            "stronglens/deep/inner.py": "from stronglens.leaf import anything",
            "stronglens/deep/unused.py": "a = 3",
        },
    )
    return tmp_path


def found(folder: Path, script: str) -> dict[str, str]:
    """The fingerprint of a script, without its own value; a file is read once in a process."""
    name = f"step_{zlib.crc32(script.encode())}.py"
    write(folder, {name: script})
    values = fingerprint(folder / name, library=folder / "stronglens")
    assert list(values) == sorted(values)
    values.pop(name, None)
    return values


def modules(folder: Path, script: str) -> list[str]:
    return [name.removeprefix("stronglens").removeprefix(".") for name in found(folder, script)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("import json, os.path", []),
        ("import stronglens", []),
        ("import stronglens.leaf as name", ["leaf"]),
        ("from stronglens import leaf", ["leaf"]),
        ("from stronglens.leaf import *", ["leaf"]),
        ("from stronglens.leaf import function", ["leaf"]),
        ("from stronglens.deep import inner", ["deep", "deep.inner", "leaf"]),
        ("import stronglens.deep.inner", ["deep", "deep.inner", "leaf"]),
        ("from stronglens.deep import name", ["deep"]),
        ("def late():\n    from stronglens import leaf", ["leaf"]),
        ("try:\n    pass\nexcept OSError:\n    import stronglens.leaf", ["leaf"]),
        ("try:\n    pass\nfinally:\n    import stronglens.leaf", ["leaf"]),
        ("if 1:\n    pass\nelse:\n    import stronglens.leaf", ["leaf"]),
        ("match 1:\n    case 1:\n        import stronglens.leaf", ["leaf"]),
        ("class A:\n    def f(self):\n        import stronglens.leaf", ["leaf"]),
        ("with open(__file__):\n    import stronglens.leaf", ["leaf"]),
        ("import stronglens_of_others.leaf\nfrom others.stronglens import leaf", []),
        ("'import stronglens.leaf'", []),
    ],
)
def test_every_way_of_importing_is_seen(folder: Path, script: str, expected: list[str]) -> None:
    assert modules(folder, script) == expected


def test_circles_end(folder: Path) -> None:
    write(folder, {"stronglens/step.py": "from stronglens import other"})
    assert modules(folder, "import stronglens.step") == ["other", "step"]


def test_a_clone_may_lie_in_a_folder_of_the_librarys_name(tmp_path: Path) -> None:
    clone = tmp_path / "stronglens"
    write(clone, {"stronglens/a.py": "import stronglens.b", "stronglens/b.py": "b = 1"})
    assert modules(clone, "import stronglens.a") == ["a", "b"]


def test_relative_imports_are_refused(folder: Path) -> None:
    write(folder, {"stronglens/relative.py": "\nfrom .leaf import x"})
    with pytest.raises(SyntaxError, match=r"relative\.py: relative import in line 2"):
        found(folder, "import stronglens.relative")


def test_a_missing_script_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fingerprint(tmp_path / "none.py")


def test_a_module_by_itself_counts_with_what_it_imports(folder: Path) -> None:
    library = folder / "stronglens"
    assert set(fingerprint(library / "deep/inner.py", library=library)) == {
        *("stronglens.deep.inner", "stronglens.leaf")
    }


def value(folder: Path, code: str) -> str | None:
    """Of one module, in a place of its own: files are read once in a process."""
    write(folder, {"step.py": code})
    return fingerprint(folder / "step.py", library=folder / "stronglens").get("step.py")


FUNCTION = "def f(a, b=(1, 2)):\n    return a + b[0]"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FUNCTION, f"# a comment\n{FUNCTION}  # another"),
        (FUNCTION, f'"""What it is for."""\n\n\n{FUNCTION}'),
        (FUNCTION, 'def f(a, b=(1, 2)):\n    """What it gives."""\n    return a + b[0]'),
        (FUNCTION, "def f(\n  a,\n  b=(\n    1,\n    2,\n  ),\n):\n  return (a +\n    b[0])"),
        ("async def f(): await g()", 'async def f():\n    """Doc."""\n    await g()'),
        ("class A(B):\n    pass", 'class A(B):\n    """Doc."""'),
        ("class A(B):\n    x: int = 1", 'class A(B):\n    x: int = 1\n    """What x is."""'),
        ("a = 'x'", 'a = """x"""'),
        ("a = 'xy'", "a = ('x' \n 'y')"),
        ("a = 'é'", "a = u'\\xe9'"),
        ("a = f'x{b}y'", "a = 'x' f'{b}' 'y'"),
        ("a = f'x{b:>{c}}'", 'a = f"x{b:>{c}}" f""'),
        ("a = 255, 1e5, 1000", "a = 0xFF, 100_000.0, 1_000"),
        ("import a.b as c; from d import (e, f as g)", "import a.b as c\nfrom d import e, f as g"),
        ("", '"""A package."""\n\n# nothing else\n'),
    ],
)
def test_comments_docstrings_and_layout_mean_nothing(tmp_path: Path, before: str, after: str) -> None:
    assert value(tmp_path / "before", before) == value(tmp_path / "after", after)


DIFFERENT = [
    *(FUNCTION, FUNCTION.replace("a, b", "b, a"), FUNCTION.replace("+", "-"), FUNCTION.replace("2", "3")),
    *("a = 1", "a = 1.0", "a = 1j", "a = True", "a = '1'", "a = b'1'", "a = None", "a = ...", "a = -1", "a"),
    *("a = {**b}", "a = {None: b}", "a = {b}", "a = [b]", "a = (b,)", "a = [None]", "a = []"),
    *(
        "a = [b for b in b]",
        "a = (b for b in b)",
        "a = {b for b in b}",
        "a = {b: b for b in b}",
        "lambda a: 1",
    ),
    *("a = f'{b}'", "a = '{b}'", "a = f'{b!r}'", "a = f'{b:r}'", "a = f'{b}{b}'", "a = f'{b} {b}'"),
    *("if a:\n    b()", "if a:\n    pass\nelse:\n    b()", "while a:\n    b()", "if not a:\n    b()"),
    *("def f(): return", "def f(): return None", "def f(): yield", "async def f(): return"),
    *("def f(*, a): return", "def f(a, /): return", "def f(a): return", "@g\ndef f(): return"),
    *("import a", "import a as b", "from a import a", "from a import *", "import a.a"),
    *("a: int", "a: int = 1", "a += 1", "a == 1", "a is 1", "(a := 1)", "del a", "global a"),
    *("f(a)", "f(*a)", "f(**a)", "f(a=a)", "f[a]", "f[a:]", "f[:a]", "f[::a]", "f.a", "f('a', a)"),
    *("match a:\n    case None: b()", "match a:\n    case True: b()", "match a:\n    case 1 | 2: b()"),
]


def test_whatever_computes_something_else_counts(tmp_path: Path) -> None:
    values = {code: value(tmp_path / str(number), code) for number, code in enumerate(DIFFERENT)}
    assert len(set(values.values())) == len(values) == len(DIFFERENT)
    assert None not in values.values()


def test_every_module_may_be_laid_out_anew(tmp_path: Path) -> None:
    """By `ast.unparse`, which drops all comments, all layout, and how strings are written."""
    for number, module in enumerate([*SCRIPTS, *MODULES]):
        text = module.read_text()
        again, as_it_is = tmp_path / f"{number}_again", tmp_path / str(number)
        assert value(again, ast.unparse(ast.parse(text))) == value(as_it_is, text), module


EVERY_NODE = '''
"""A module with each node that the syntax has."""
from __future__ import annotations
import os.path as path, sys
from a.b import (c, d as e)

@decorated(1, *two, three=3, **four)
class Class(Base, metaclass=Meta, **more):
    """Doc."""
    attribute: int = 1
    """Doc of an attribute."""
    other: str

async def coroutine(a, /, b: int = 1, *c, d, e=2, **f) -> dict[str, "int"]:
    async with one as two, three:
        await four
    async for five in six:
        yield five
    else:
        return {**seven, "eight": [nine async for nine in ten if nine]}

def function():
    global x
    def inner():
        nonlocal y
        return
    y = yield from (z for z in range(-10) if not z)
    raise Error("\\N{SNOWMAN} \U0001fae8 \\x00") from None

for (a, *b), c[0], d.e in f: continue
else: pass
while a < b <= c != d is not e not in f: break
while a > b >= c == d is e in f: ...
if a and b or not c: del d, e[1:2, ::3, ...]
elif (f := g): assert h, "i"
else: lambda j, *k, l=1: j if k else l
with open("m") as n, o: n += 1; n -= 1; n *= 2; n /= 2; n //= 2; n **= 2; n %= 2
p = a + b - c * d / e // f ** g % h @ i & j | k ^ l << m >> ~n, +o
q = {1, 2}, {3: 4 for _ in r}, {5 for _ in s}, [6, *t], (), 1.5e300, 10**400, 2j, b"\\xff", True, None, ""
u = f"a{b!r:>{c}.3f} {{}} {d=} {e:%Y-%m-%d}" "f" f'{g["h"]}{i!s}{j!a}' rf"\\d{k}" f""
v: list[int] | None
try: w()
except (A, B) as error: raise
except C: pass
else: x()
finally: y()
try: z()
except* D as group: pass
match a:
    case 1 | -2.5 | "b" | None | True | c.d: pass
    case [e, *f, _] | (g, *_): pass
    case {"h": i, **j} if k: pass
    case Class(l, m=n) as o: pass
    case _: pass
'''

GIVES = "db88c1b9c73c"
"""What it gives, under whatever version: a change reruns all results of all users, once."""

OLDER = {"AugLoad", "AugStore", "Param", "Suite", "Index", "ExtSlice", "Num", "Str", "Bytes", "NameConstant"}
OLDER |= {"Ellipsis", "Interactive", "Expression", "FunctionType", "TypeIgnore"}
NEWER = {"TypeAlias", "TypeVar", "ParamSpec", "TypeVarTuple", "TemplateStr", "Interpolation"}


def test_every_version_gives_the_same_for_every_kind_of_node(tmp_path: Path) -> None:
    known = {name for name, kind in vars(ast).items() if isinstance(kind, type) and issubclass(kind, ast.AST)}
    concrete = {name for name in known if not getattr(ast, name).__subclasses__()} - OLDER - NEWER
    assert concrete <= {type(node).__name__ for node in ast.walk(ast.parse(EVERY_NODE))}
    assert value(tmp_path, EVERY_NODE) == GIVES


def interpreters() -> list[str]:
    """Other versions of Python on this machine."""
    folders = [Path(name) for name in os.environ["PATH"].split(os.pathsep)]
    folders += Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin")
    names = {f"3.{minor}": f"python3.{minor}" for minor in (11, 12, 13) if minor != sys.version_info[1]}
    return [
        str(next((folder / name for folder in folders[::-1] if (folder / name).is_file()), name))
        for name in names.values()
    ]


@pytest.mark.parametrize("python", interpreters(), ids=lambda python: Path(python).name)
def test_another_version_gives_the_same_for_the_real_steps(python: str) -> None:
    code = (
        "import json, sys; from pathlib import Path; from stronglens.running.fingerprint import fingerprint\n"
        "print(json.dumps({path: fingerprint(Path(path)) for path in sys.argv[1:]}))"
    )
    scripts = [str(script) for script in SCRIPTS]
    try:
        done = subprocess.run(
            [python, "-S", "-c", code, *scripts],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(LIBRARY.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    except OSError:
        pytest.skip(f"{python} is not on this machine")
    if "pyenv: " in done.stderr:
        pytest.skip(f"{python} is not on this machine")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {script: fingerprint(Path(script)) for script in scripts}


SETTINGS = '''
import re
from typing import Annotated, Literal
from stronglens.settings.base import Settings, Base

_PREFIX = "x"
_PATTERN = re.compile("a")
ORDER = (_PREFIX, "b")
Kind = Literal["a", "b"]
Word = Annotated[str, Field(examples=list(ORDER))]

class Inner(Settings):
    word: Word
    @property
    def n_letters(self) -> int:
        return len(self.word)

class Outer(Settings):
    """Settings."""
    model_config = ConfigDict(frozen=True)
    a: int = Field(1, ge=0)
    """What a is."""
    inner: Inner = Inner()
    @field_validator("a")
    @classmethod
    def _checked(cls, a: int) -> int:
        return check(a)

def check(a: int) -> int:
    return _PATTERN.sub("", a)

def in_order(names: set) -> list:
    return [name for name in ORDER if name in names]
'''


def settings(folder: Path, text: str, script: str) -> dict[str, str]:
    write(
        folder,
        {
            "stronglens/settings/__init__.py": "",
            "stronglens/settings/base.py": "class Settings(BaseModel):\n    x: int = 1",
            "stronglens/settings/step.py": text,
        },
    )
    return found(folder, script)


OUTER, ORDERED = "from stronglens.settings.step import Outer", "from stronglens.settings.step import in_order"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: int = Field(1, ge=0)", "a: float = Field(2.5, ge=-1)\n    b: str = 'new'"),
        ("return check(a)", "return a"),
        ("frozen=True", "frozen=False"),
        ("class Outer", "# settings\nclass Outer"),
        ('sub("", a)', 'sub("", a + 1)'),
        ('Literal["a", "b"]', 'Literal["a", "b", "c"]'),
        ('(_PREFIX, "b")', '("c", _PREFIX)'),
    ],
)
def test_what_settings_declare_does_not_count_for_who_is_given_them(
    tmp_path: Path, before: str, after: str
) -> None:
    assert SETTINGS.count(before) == 1
    values = settings(tmp_path / "before", SETTINGS, OUTER)
    assert list(values) == ["stronglens.settings.step.Inner"]
    assert settings(tmp_path / "after", SETTINGS.replace(before, after), OUTER) == values


@pytest.mark.parametrize(
    ("script", "before", "after", "changed"),
    [
        (OUTER, "len(self.word)", "2", "Inner"),
        (ORDERED, '(_PREFIX, "b")', '("c", _PREFIX)', "ORDER"),
        (ORDERED, '"x"', '"y"', "_PREFIX"),
        (ORDERED, "if name in names", "", "in_order"),
    ],
)
def test_what_settings_compute_counts_for_who_uses_it(
    tmp_path: Path, script: str, before: str, after: str, changed: str
) -> None:
    old = settings(tmp_path / "before", SETTINGS, script)
    new = settings(tmp_path / "after", SETTINGS.replace(before, after, 1), script)
    assert {name for name in old if old[name] != new[name]} == {f"stronglens.settings.step.{changed}"}


def test_settings_do_nothing_but_define(tmp_path: Path) -> None:
    with pytest.raises(SyntaxError, match=r"step\.py: line 2: expected an import or a definition"):
        settings(tmp_path, "import os\nos.environ.clear()", OUTER)


def test_fields_are_declared_in_settings_alone() -> None:
    """Of another class a field's value would be a constant, which does not travel."""
    for path in (LIBRARY / "settings").glob("*.py"):
        module = import_module(f"stronglens.settings.{path.stem}")
        classes = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)}
        for name in classes:
            assert issubclass(getattr(module, name), Settings), name


def test_data_files_beside_a_module_that_reads_them_count_by_their_bytes(folder: Path) -> None:
    write(folder, {"stronglens/deep/page.py": "a = __file__", "stronglens/deep/static/page.js": "// one"})
    script = "import stronglens.deep.page"
    old = found(folder, script)
    assert "stronglens/deep/static/page.js" in old
    assert not any("/" in name for name in found(folder, "import stronglens.deep.inner"))
    write(folder, {"stronglens/deep/static/page.js": "// two"})
    new = found(folder, script)
    assert {name for name in old if old[name] != new[name]} == {"stronglens/deep/static/page.js"}


def test_all_data_files_of_the_library_count_for_some_step() -> None:
    data = {
        f"stronglens/{path.relative_to(LIBRARY).as_posix()}"
        for path in LIBRARY.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and path.name != "py.typed"
    }
    assert data
    assert data <= set().union(*map(fingerprint, SCRIPTS))


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_nothing_is_missing_for_the_real_steps(script: Path) -> None:
    """By `ast.walk`: what a listed module imports is listed, or exempt, or of the settings."""
    listed = fingerprint(script)
    assert script.name in listed
    paths = [LIBRARY.joinpath(*name.split(".")[1:]).with_suffix(".py") for name in listed]
    for path in [script, *filter(Path.is_file, paths)]:
        for module, name in imports_of(path):
            if module.startswith("stronglens.") and not module.startswith("stronglens.settings."):
                assert {module, f"{module}.{name}"} & {*listed, *EXEMPT}, f"{path}: {module}"


@pytest.mark.parametrize(
    ("module", "steps"),
    [
        ("candidates.choose", "candidates"),
        ("comparing.drift", "compare_data"),
        ("configuring.config", "document_config show_status"),
        ("ensembling.merge", "catalogue check_submission ensemble"),
        ("networks.normalise", "capsule predict run_trial train"),
        ("sources.fits_image", "build_buckets document_config show_status"),
        ("prediction.predict_member", "capsule predict"),
        ("reporting.html", "describe_data write_index write_overview"),
        ("scoring.field_metrics", "capsule evaluate measure_transfer plot_evaluation"),
        ("searching.study", "run_trial"),
        ("simulation.light", "simulate"),
        ("splitting.split", "split_objects"),
        ("submitting.submission_forms", "check_submission submission"),
        ("training.trainer", "run_trial train"),
        ("formats.figures", " ".join(script.stem for script in SCRIPTS if script.stem.startswith("plot_"))),
    ],
)
def test_an_edit_concerns_exactly_the_steps_that_compute_with_it(module: str, steps: str) -> None:
    assert (LIBRARY / f"{module.replace('.', '/')}.py").is_file()
    found = [script.stem for script in SCRIPTS if f"stronglens.{module}" in fingerprint(script)]
    assert found == steps.split()


@pytest.mark.parametrize("step", ["train.py", "predict.py"])
def test_training_does_not_depend_on_what_comes_after_it(step: str) -> None:
    listed = " ".join(fingerprint(ROOT / "workflow" / "scripts" / step))
    # A teacher's probabilities are read from the table of an ensemble.
    listed = listed.replace("stronglens.formats.ensemble_table", "")
    for word in ("config", "metrics", "threshold", "youden", "plot", "ensemble", "submission", "simulat"):
        assert word not in listed
    assert "search" not in listed
    assert not any(name.startswith("stronglens.running") for name in listed.split())


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_what_computes_draws_nothing(script: Path) -> None:
    """Else another style of a figure would compute its numbers anew."""
    paths = [LIBRARY.joinpath(*name.split(".")[1:]).with_suffix(".py") for name in fingerprint(script)]
    draws = any("matplotlib" in path.read_text() for path in paths if path.is_file())
    assert draws == script.stem.startswith("plot_")


def test_a_fingerprint_in_words() -> None:
    assert in_words({"stronglens.leaf": "1a2b3c4d5e6f"}) == ["stronglens.leaf 1a2b3c4d5e6f"]


def test_only_the_standard_library_is_needed() -> None:
    """The workflow file imports it: nothing heavy may come along."""
    tree = ast.parse((LIBRARY / "running/fingerprint.py").read_text())
    names = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


STEP = """
from stronglens.running.fingerprint import step_sha256
print(step_sha256("stronglens/training/trainer.py"))
"""


def test_the_code_of_a_running_step_is_its_script_and_module_whatever_else_is_loaded(tmp_path: Path) -> None:
    shutil.copytree(LIBRARY, tmp_path / "stronglens", ignore=shutil.ignore_patterns("__pycache__"))
    module = tmp_path / "stronglens/training/schedule.py"

    def said(script: str) -> str:
        write(tmp_path, {"step.py": script})
        run = subprocess.run(
            [sys.executable, "step.py"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return run.stdout

    before = said(STEP)
    with module.open("a") as text:
        text.write("\n\n# a comment\n")
    assert said(STEP) == before
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text("import stronglens.submitting.submission_forms")  # loaded, and nothing to do with it
    assert said(STEP) == before
    assert said(f"{STEP}other = 1") != before
    with module.open("a") as text:
        text.write("other = 1\n")
    assert said(STEP) != before


def test_a_step_may_be_called_from_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a notebook, with `python -c`, or from a program that is no Python file."""
    module = LIBRARY / "training/trainer.py"
    for name in (None, "/usr/bin/pytest", "/gone/step.py"):
        monkeypatch.setattr(sys.modules["__main__"], "__file__", name, raising=False)
        assert step_sha256(str(module)) == code_sha256(module)


# That the exempt modules change no result.

MAY_IMPORT = {
    *("pydantic", "pydantic_settings", "tqdm", "stronglens"),
    *("ast", "collections", "concurrent", "contextlib", "csv", "dataclasses", "difflib", "errno", "fcntl"),
    *(
        "functools",
        "gc",
        "hashlib",
        "io",
        "itertools",
        "json",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "re",
    ),
    # Of `secrets`, the token of a lease.
    *("secrets", "signal", "socket", "subprocess", "sys", "threading", "time", "types", "typing"),
    "importlib",
}
"""For exempt modules: nothing of arrays, mathematics, random numbers or tables."""

USED = {
    "cli": {"Command", "run"},
    "collection": {"no_search_for_cycles", "older_objects_frozen"},
    "errors": {"InputError", "StoppedError"},
    "explain": {"CONTRADICTION", "Location", "dotted", "explain"},
    "fingerprint": {"code_sha256", "step_sha256"},
    "gpu_lock": {"claim_gpu", "jobs_per_gpu", "own_device_files"},
    "lease": {"lease"},
    "progress": {"progress"},
    "threads": {"spin_briefly"},
    "tracker": {"Tracker"},
    "worker_processes": {"worker_processes"},
}
"""What other modules use of them: for each there is a test here that it brings nothing into a result. Who
needs another name adds it, with its test."""


@cache
def imports_of(path: Path) -> list[tuple[str, str]]:
    """Modules, and the names that are imported from them."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    return [
        *((alias.name, "") for node in nodes if isinstance(node, ast.Import) for alias in node.names),
        *(
            (str(node.module), alias.name)
            for node in nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        ),
    ]


@cache
def outside() -> dict[Path, ast.Module]:
    """All code but the exempt: the steps and what they run."""
    return {
        path: ast.parse(path.read_text())
        for path in [*SCRIPTS, *MODULES]
        if path.parent != LIBRARY / "running"
    }


def users_of(module: str) -> set[str]:
    """Files outside that import of an exempt module."""
    return {
        path.relative_to(LIBRARY if path.is_relative_to(LIBRARY) else ROOT).as_posix()
        for path in outside()
        if any(imported == f"stronglens.running.{module}" for imported, _ in imports_of(path))
    }


def calls_of(name: str) -> list[tuple[ast.Call, ast.AST]]:
    """Calls of a function in code outside, each with what it is in; there are some."""
    calls = [
        (child, node)
        for tree in outside().values()
        for node in ast.walk(tree)
        for child in ast.iter_child_nodes(node)
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Name) and child.func.id == name
    ]
    assert calls, name
    return calls


def test_every_module_in_running_is_exempt_and_no_other_but_the_names_of_the_api() -> None:
    modules = {f"stronglens.running.{path.stem}" for path in (LIBRARY / "running").glob("*.py")}
    assert set(EXEMPT) == {"stronglens", *(name.removesuffix(".__init__") for name in modules)}
    assert all(EXEMPT.values())
    assert len(ast.parse((LIBRARY / "running/__init__.py").read_text()).body) == 1


def test_exempt_modules_import_nothing_that_computes() -> None:
    for path in (LIBRARY / "running").glob("*.py"):
        for name, _ in imports_of(path):
            assert name.split(".")[0] in MAY_IMPORT, f"{path}: {name}"
            assert not name.startswith("stronglens") or name in EXEMPT, f"{path}: {name}"


def test_of_exempt_modules_nothing_else_is_used() -> None:
    used: dict[str, set[str]] = {name: set() for name in USED}
    for path in outside():
        for module, name in imports_of(path):
            assert module != "stronglens.running", f"{path}: import a name from a module"
            if module.startswith("stronglens.running."):
                used[module.split(".")[2]].add(name)
    assert used == USED


def test_the_command_line_passes_options_on_and_returns_an_exit_code() -> None:
    assert set(cli.Command.model_fields) == {"log"}
    # What a step computes does not pass through `run`: it is all that `main` does.
    for script in SCRIPTS:
        (main,) = (node for node in ast.parse(script.read_text()).body if getattr(node, "name", "") == "main")
        assert re.fullmatch(r"return run\(\w+, \w+, argv\)", ast.unparse(main.body))
    users = {path for path in outside() if ("stronglens.running.cli", "run") in imports_of(path)}
    assert users == {*SCRIPTS, LIBRARY / "finder" / "commands.py"}


def test_errors_hold_a_message_and_nothing_else() -> None:
    for error in (errors.InputError, errors.StoppedError):
        assert error.__base__ is Exception
        assert not [name for name in vars(error) if not name.startswith("__")]
        assert error.__init__ is Exception.__init__
        assert error.__str__ is Exception.__str__


def test_words_for_wrong_settings_are_for_those_who_set_them() -> None:
    """They are used where settings are checked: by the config, before all steps, and by searches."""
    users = users_of("explain")
    assert {user for user in users if not user.startswith("configuring/")} == {"searching/space.py"}


def test_fingerprints_are_of_identities_and_records() -> None:
    assert users_of("fingerprint") == {
        *("training/train_member.py", "searching/trial.py", "submitting/surroundings.py"),
        "prediction/predict_member.py",
    }
    for name in USED["fingerprint"]:
        for _, parent in calls_of(name):  # as the value of a key, "code" or "sha256"
            assert isinstance(parent, ast.Dict)


def test_which_gpu_is_claimed_is_not_asked() -> None:
    for _, parent in calls_of("claim_gpu"):
        assert isinstance(parent, ast.withitem)
        assert parent.optional_vars is None
    # How many jobs share a GPU decides where samples are kept and which jobs share a choice, nothing else.
    told = [parent for _, parent in calls_of("jobs_per_gpu") if not isinstance(parent, ast.Dict)]
    assert [ast.unparse(parent) for parent in told] == ["LARGEST_SHARE * free / jobs_per_gpu()"]
    assert len(calls_of("jobs_per_gpu")) == 3
    # Which device files there are decides whether a GPU is expected, and is told in errors.
    assert len(calls_of("own_device_files")) == 1
    assert users_of("gpu_lock") >= {"networks/device.py", "networks/loaded.py"}


@pytest.mark.parametrize("name", ["lease", "no_search_for_cycles", "older_objects_frozen"])
def test_for_a_block_something_is_held_and_nothing_comes_back(name: str) -> None:
    for _, parent in calls_of(name):
        assert isinstance(parent, ast.withitem)
        assert parent.optional_vars is None


def test_threads_are_set_and_nothing_comes_back() -> None:
    for _, parent in calls_of("spin_briefly"):
        assert isinstance(parent, ast.Expr)


def test_a_tracker_is_shown_the_state_and_nothing_comes_back() -> None:
    ((call, parent),) = calls_of("Tracker")
    assert ast.unparse(parent) == f"{ast.unparse(call)} as tracker"
    tree = outside()[LIBRARY / "training/train_member.py"]
    handed = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "observe"]
    assert [ast.unparse(one) for one in handed] == ["observe=tracker"]
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "tracker"]
    assert len(uses) == 2
    # There it is called, and what it returns is not looked at.
    nodes = list(ast.walk(outside()[LIBRARY / "training/trainer.py"]))
    calls = [ast.unparse(node) for node in nodes if ast.unparse(node).startswith("observe(")]
    assert calls
    assert len(calls) == 2 * sum(isinstance(node, ast.Expr) and ast.unparse(node) in calls for node in nodes)


@given(st.lists(st.integers() | st.text() | st.none()))
def test_progress_passes_on_what_it_is_given(items: list[object]) -> None:
    passed = list(progress(items, len(items), "counting", "items"))
    assert len(passed) == len(items)
    assert all(one is other for one, other in zip(passed, items, strict=True))


def test_worker_processes_are_those_of_the_standard_library(tmp_path: Path) -> None:
    with worker_processes.worker_processes(1, tmp_path) as pool:
        assert type(pool) is ProcessPoolExecutor
        assert list(pool.map(abs, range(-5, 5))) == list(map(abs, range(-5, 5)))


def test_no_code_reads_docstrings_comments_or_layout() -> None:
    """Else they would have to count. `--help` reads them, and the pages on the config."""
    for path in MODULES:
        if path.is_relative_to(LIBRARY / "running") or path.is_relative_to(LIBRARY / "configuring"):
            continue
        assert "inspect" not in {module for module, _ in imports_of(path)}
        for node in ast.walk(ast.parse(path.read_text())):
            names = {getattr(node, "id", None), getattr(node, "attr", None)}
            assert not names & {"__doc__", "co_firstlineno", "f_lineno", "tb_lineno"}, path
