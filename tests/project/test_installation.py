"""The library installed by itself, as `pip install .` does it: complete, and without Snakemake."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "stronglens"

IMPORTS_ALL = """
import json, pkgutil, importlib, sys
# As where they are not installed: importing them fails.
for absent in ("snakemake", "lenstronomy", "optuna"):
    sys.modules[absent] = None
import stronglens
failed = {}
for module in pkgutil.walk_packages(stronglens.__path__, "stronglens."):
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        failed[module.name] = error.name
print(json.dumps({"from": stronglens.__file__, "failed": failed}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder into which the library alone was installed, from a copy without git and build folders."""
    folder = tmp_path_factory.mktemp("installed")
    copy = folder / "copy"
    names = ["pyproject.toml", "README.md", "LICENSE", "src"]
    copy.mkdir()
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in names), str(copy)], check=True)
    target = folder / "site"
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(copy)], check=True
    )
    yield target


def files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_every_file_of_the_library_is_installed(installed: Path) -> None:
    assert files(installed / "stronglens") == files(PACKAGE)


def test_the_library_is_imported_without_snakemake_and_what_few_need(installed: Path, tmp_path: Path) -> None:
    printed = subprocess.run(
        [sys.executable, "-c", IMPORTS_ALL],
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(printed.stdout)
    assert Path(found["from"]).is_relative_to(installed)
    packages = {name.split(".")[1]: absent for name, absent in found["failed"].items()}
    assert set(packages) <= {"simulation", "searching"}, found["failed"]
    assert {absent.split(".")[0] for absent in packages.values()} <= {"lenstronomy", "optuna"}
