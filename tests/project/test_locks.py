"""What is installed: the lock meets pyproject.toml, and every other statement of a version meets the lock."""

import itertools
import platform
import re
import sys
import sysconfig
import tomllib
from collections import defaultdict
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LIBRARY = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
EXTRAS = {
    extra: [Requirement(text) for text in texts]
    for extra, texts in PROJECT["project"]["optional-dependencies"].items()
}
LOCK = (ROOT / "requirements.lock").read_text()
PYTHONS = ["3.11", "3.12", "3.13"]


def locked(python: str) -> dict[str, str]:
    """Version of each package that the lock installs on Linux with a Python, 3.12 or 3.12.4."""
    versions: dict[str, str] = {}
    environment = {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python if python.count(".") == 2 else f"{python}.9",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }
    for text in re.findall(r"^([^\s#][^\\\n]*)", LOCK, flags=re.MULTILINE):
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert requirement.name not in versions
            (pin,) = requirement.specifier
            assert pin.operator == "=="
            versions[canonicalize_name(requirement.name)] = pin.version
    return versions


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_what_the_project_asks_for(python: str) -> None:
    versions = locked(python)
    for requirement in [*LIBRARY, *itertools.chain(*EXTRAS.values())]:
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: the lock has {version}; make lock"


def test_the_versions_of_python_are_those_of_the_project() -> None:
    allowed = SpecifierSet(PROJECT["project"]["requires-python"])
    minors = [f"3.{minor}" for minor in range(8, 20)]
    assert [python for python in minors if allowed.contains(f"{python}.1")] == PYTHONS
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in (ROOT / "Makefile").read_text()


def test_every_package_is_known_by_its_content() -> None:
    hashes: dict[str, int] = defaultdict(int)
    package = ""
    for line in LOCK.splitlines():
        if not line.startswith(" "):
            package = line.split("==")[0]
            hashes[package] += 0
        else:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)
            hashes[package] += 1
    assert min(hashes.values()) > 0


def test_what_is_installed_is_what_the_lock_says() -> None:
    """An audit without a network: of an environment that `make install` has made, and of it alone."""
    if not list(Path(sys.prefix).glob("installed-*")):
        pytest.skip("this environment was not made from the lock")
    versions = locked(platform.python_version())
    # Not all of sys.path: setuptools, once imported, adds packages of its own to it.
    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    installed = {canonicalize_name(found.metadata["Name"]): found for found in distributions(path=folders)}
    assert {name: installed[name].version for name in versions if name in installed} == versions
    for name in versions:
        for text in installed[name].requires or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                found = versions.get(canonicalize_name(needed.name))
                assert found is not None, f"{name} needs {needed}"
                assert needed.specifier.contains(found, prereleases=True), (
                    f"{name} needs {needed}, has {found}"
                )


def test_the_lock_names_no_machine() -> None:
    for word in ("://", "@ ", "file:", "--index", "--find-links", "--extra", "# via"):
        assert word not in LOCK


@pytest.fixture
def conda() -> dict[str, str]:
    """Version of each package of the environment for `--sdm conda`."""
    environment = yaml.safe_load((ROOT / "envs" / "stronglens.yaml").read_text())
    *from_conda, block = environment["dependencies"]
    assert environment["channels"][0] == "conda-forge"
    assert from_conda == ["python=3.11", "pip"]
    return {name: version for name, _, version in (text.partition("==") for text in block["pip"])}


def test_the_conda_environment_has_the_locked_versions(conda: dict[str, str]) -> None:
    versions = locked("3.11")
    assert {name: versions[name] for name in conda} == conda


def test_the_conda_environment_has_what_the_steps_need(conda: dict[str, str]) -> None:
    # Snakemake itself runs outside of it.
    needed = [*LIBRARY, *EXTRAS["sim"], *EXTRAS["search"], *EXTRAS["tracker"]]
    assert set(conda) == {canonicalize_name(requirement.name) for requirement in needed}


@pytest.mark.parametrize("recipe", ["Containerfile", "apptainer.def"])
def test_images_have_the_locked_versions(recipe: str) -> None:
    text = " ".join((ROOT / "envs" / recipe).read_text().replace("\\\n", " ").split())
    assert re.search(r"\bpython:3\.11-", text)
    assert "pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps" in text
    assert "--requirement /opt/requirements.lock" in text
    assert "requirements.lock /opt/requirements.lock" in text


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
