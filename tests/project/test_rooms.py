"""The library's packages import one another in one direction, in the order of the architecture page, and unit
tests lie as they do.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "src" / "stronglens"
TESTS = ROOT / "tests"

SUBJECTS = {
    "finder/test_capsule.py": "making, checking and opening capsules",
    "packing/test_packed_tiles.py": "packing from tiles",
    "reporting/test_figures.py": "what the figures of all packages share",
    "sources/test_broken_sources.py": "sources with faults, of all kinds",
    "sources/test_kinds_of_source.py": "one set from every kind of source",
    "training/test_round_trips.py": "trips between GPU and CPU in a training",
}
"""Unit tests of no single module. Whatever else is tested with the whole workflow lies in tests/project."""

IN_A_CAPSULE = {
    "finder/commands.py": "finder/test_finder.py",
    "finder/cutouts.py": "finder/test_finder.py",
    "finder/making.py": "finder/test_capsule.py",
    "finder/members.py": "finder/test_finder.py",
    "finder/model_card.py": "finder/test_capsule.py",
    "finder/onnx_engine.py": "finder/test_finder.py",
    "finder/scored_sources.py": "finder/test_finder.py",
}
"""Modules that are tested with ensembles that were trained and put into capsules: one file trains for all."""

MOST_LINES_WITHOUT_TESTS = 40
"""Lines of code, without docstrings, comments and imports, from which on a module has a test file."""


def imports() -> dict[str, set[str]]:
    """For each package of the library, those that it imports, inside functions too."""
    found: dict[str, set[str]] = {}
    for path in LIBRARY.glob("*/**/*.py"):
        package = path.relative_to(LIBRARY).parts[0]
        imported = found.setdefault(package, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                parts = str(node.module).split(".")
                if parts[0] == "stronglens":
                    imported |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return {package: others - {package} for package, others in found.items()}


def documented() -> list[str]:
    """The packages in the order of the architecture page's table."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.partition("| package | what it holds |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)/` \|", table, flags=re.MULTILINE)


def test_a_package_imports_only_those_above_it() -> None:
    order = documented()
    found = imports()
    assert set(found) == set(order)
    wrong = {
        package: sorted(name for name in others if order.index(name) > order.index(package))
        for package, others in found.items()
    }
    assert not {package: names for package, names in wrong.items() if names}


def test_every_package_says_what_it_is_for() -> None:
    for package in documented():
        assert ast.get_docstring(ast.parse((LIBRARY / package / "__init__.py").read_text())), package


def test_each_module_logs_under_its_own_name() -> None:
    """`log = logging.getLogger(__name__)` and no other way; handlers belong to the whole library."""
    wrong = []
    for path in LIBRARY.rglob("*.py"):
        name = path.relative_to(LIBRARY).as_posix()
        allowed = {"__name__"} | (
            {"'stronglens'"} if name in {"running/cli.py", "running/progress.py"} else set()
        )
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) == "logging.Logger":
                wrong.append(f"{name}: passes a logger on")
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "logging.getLogger":
                named = ast.unparse(node.args[0])
                if named not in allowed and named.startswith("'stronglens"):
                    wrong.append(f"{name}: {ast.unparse(node)}")
            if isinstance(node, ast.Assign) and "getLogger(__name__)" in ast.unparse(node.value):
                wrong += [f"{name}: {ast.unparse(node)}"] if ast.unparse(node.targets[0]) != "log" else []
    assert not wrong


def test_what_makes_a_deviation_a_sigma_is_one_constant() -> None:
    found = [
        path.name
        for path in LIBRARY.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and round(node.value, 3) == 1.483
    ]
    assert found == ["cutout_statistics.py"]


def test_names_that_other_libraries_keep_to_themselves_are_not_used() -> None:
    """Of Optuna and PyTorch; those of Snakemake have a file of their own (test_rules.py)."""
    private = re.compile(r"\b(torch|optuna)(\.\w+)*\._(?!_)\w+|\._trial_id\b|\bstudy\._\w+")
    files = [path for folder in ("src", "benchmarks", "plugins") for path in (ROOT / folder).rglob("*.py")]
    assert not {str(path): found.group() for path in files if (found := private.search(path.read_text()))}


def test_unit_tests_lie_as_the_library_does() -> None:
    """tests/unit/PACKAGE/test_MODULE.py: so one finds the tests of a module by its name."""
    strays = []
    for test in (TESTS / "unit").rglob("test_*.py"):
        name = str(test.relative_to(TESTS / "unit"))
        module = LIBRARY / test.parent.relative_to(TESTS / "unit") / test.name.removeprefix("test_")
        if not (module.exists() or name in SUBJECTS):
            strays.append(name)
    assert strays == []


def n_code_lines(path: Path) -> int:
    """Lines of a module that are neither empty nor comments, docstrings or imports."""
    text = path.read_text()
    tree = ast.parse(text)
    said = [
        node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    said += [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]  # type: ignore[misc]
    left_out = {line for node in said for line in range(node.lineno, (node.end_lineno or 0) + 1)}
    lines = enumerate((line.strip() for line in text.splitlines()), start=1)
    return sum(bool(line) and not line.startswith("#") and number not in left_out for number, line in lines)


def test_every_module_of_some_size_has_its_test_file() -> None:
    """tests/unit/PACKAGE/test_MODULE.py, with at least one test in it."""
    own = set()
    for test in (TESTS / "unit").rglob("test_*.py"):
        assert "\ndef test_" in test.read_text(), f"{test}: no test"
        own.add(f"{test.parent.relative_to(TESTS / 'unit')}/{test.name.removeprefix('test_')}")
    large = {
        str(path.relative_to(LIBRARY))
        for path in LIBRARY.rglob("*.py")
        if n_code_lines(path) > MOST_LINES_WITHOUT_TESTS
    }
    assert large - own == set(IN_A_CAPSULE)
    assert all((TESTS / "unit" / test).is_file() for test in IN_A_CAPSULE.values())


def test_every_package_has_tests() -> None:
    tested = {test.parent.name for test in (TESTS / "unit").glob("*/test_*.py")}
    assert set(documented()) == tested


def test_what_helps_tests_has_names_of_its_own() -> None:
    """Helpers, modules of the library and steps are imported side by side."""
    helpers = {path.stem for folder in ("helpers", "browser") for path in (TESTS / folder).glob("*.py")}
    steps = {path.stem for path in (ROOT / "workflow" / "scripts").glob("*.py")}
    modules = {path.stem for path in LIBRARY.rglob("*.py")} | {path.name for path in LIBRARY.iterdir()}
    assert helpers & (steps | modules) == set()
