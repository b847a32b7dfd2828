"""Which source files a step runs: all that it imports, and nothing else."""

import ast
import sys
from pathlib import Path

import pytest

from stronglens.configuring.sources import sources_of

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))


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
            "scripts/stronglens/__init__.py": "",
            "scripts/stronglens/leaf.py": "import json",
            "scripts/stronglens/other.py": "import stronglens.step",
            "scripts/stronglens/deep/__init__.py": "",
            "scripts/stronglens/deep/inner.py": "from stronglens.leaf import anything",
            "scripts/stronglens/deep/unused.py": "",
        },
    )
    return tmp_path


def found(folder: Path, script: str) -> list[str]:
    write(folder, {"scripts/step.py": script})
    first, *modules = sources_of(folder / "scripts" / "step.py", folder)
    assert first == "scripts/step.py"
    assert modules == sorted(modules)
    return [module.removeprefix("scripts/stronglens/") for module in modules]


@pytest.mark.parametrize(
    ("script", "modules"),
    [
        ("import json, os.path", []),
        ("import stronglens", ["__init__.py"]),
        ("import stronglens.leaf as name", ["__init__.py", "leaf.py"]),
        ("from stronglens import leaf", ["__init__.py", "leaf.py"]),
        ("from stronglens.leaf import *", ["__init__.py", "leaf.py"]),
        ("from stronglens.leaf import function", ["__init__.py", "leaf.py"]),
        (
            "from stronglens.deep import inner",
            ["__init__.py", "deep/__init__.py", "deep/inner.py", "leaf.py"],
        ),
        ("import stronglens.deep.inner", ["__init__.py", "deep/__init__.py", "deep/inner.py", "leaf.py"]),
        ("from stronglens.deep import name", ["__init__.py", "deep/__init__.py"]),
        ("def late():\n    from stronglens import leaf", ["__init__.py", "leaf.py"]),
        ("try:\n    pass\nexcept OSError:\n    import stronglens.leaf", ["__init__.py", "leaf.py"]),
        ("try:\n    pass\nfinally:\n    import stronglens.leaf", ["__init__.py", "leaf.py"]),
        ("if 1:\n    pass\nelse:\n    import stronglens.leaf", ["__init__.py", "leaf.py"]),
        ("match 1:\n    case 1:\n        import stronglens.leaf", ["__init__.py", "leaf.py"]),
        ("class A:\n    def f(self):\n        import stronglens.leaf", ["__init__.py", "leaf.py"]),
        ("with open(__file__):\n    import stronglens.leaf", ["__init__.py", "leaf.py"]),
        ("import stronglens_of_others.leaf\nfrom others.stronglens import leaf", []),
        ("'import stronglens.leaf'", []),
    ],
)
def test_every_way_of_importing_is_seen(folder: Path, script: str, modules: list[str]) -> None:
    assert found(folder, script) == modules


def test_circles_end(folder: Path) -> None:
    write(folder, {"scripts/stronglens/step.py": "from stronglens import other"})
    assert found(folder, "import stronglens.step") == ["__init__.py", "other.py", "step.py"]


def test_a_clone_may_lie_in_a_folder_of_the_librarys_name(tmp_path: Path) -> None:
    clone = tmp_path / "stronglens"
    write(clone, {"scripts/stronglens/a.py": "import stronglens.b", "scripts/stronglens/b.py": ""})
    assert found(clone, "import stronglens.a") == ["a.py", "b.py"]


def test_relative_imports_are_refused(folder: Path) -> None:
    write(folder, {"scripts/stronglens/relative.py": "\nfrom .leaf import x"})
    with pytest.raises(SyntaxError, match=r"relative import in line 2"):
        found(folder, "import stronglens.relative")


def test_a_missing_script_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sources_of(tmp_path / "none.py", tmp_path)


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_nothing_is_missing_for_the_real_steps(script: Path) -> None:
    """By `ast.walk` instead of a walk over statements: what a listed file imports is listed."""
    listed = sources_of(script, ROOT)
    assert listed[0] == f"workflow/scripts/{script.name}"
    assert all((ROOT / path).is_file() for path in listed)
    for path in listed:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("stronglens"):
                module = str(node.module).replace(".", "/")
                candidates = {f"workflow/scripts/{module}.py", f"workflow/scripts/{module}/__init__.py"}
                assert candidates & set(listed), f"{path}: {node.module}"


@pytest.mark.parametrize("step", ["train.py", "predict.py"])
def test_training_does_not_depend_on_what_comes_after_it(step: str) -> None:
    listed = " ".join(sources_of(ROOT / "workflow" / "scripts" / step, ROOT))
    for word in ("config", "metrics", "threshold", "youden", "plot", "ensemble", "submission", "simulat"):
        assert word not in listed
    assert "search" not in listed


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_what_computes_draws_nothing(script: Path) -> None:
    """Else another style of a figure would compute its numbers anew."""
    draws = any("matplotlib" in (ROOT / path).read_text() for path in sources_of(script, ROOT))
    assert draws == script.stem.startswith("plot_")


def test_only_the_standard_library_is_needed() -> None:
    """The workflow file imports it: nothing heavy may come along."""
    tree = ast.parse((ROOT / "workflow/scripts/stronglens/configuring/sources.py").read_text())
    names = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
