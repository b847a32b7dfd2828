"""How rule files are written: one order of directives, short rules, Snakemake's internals in one file."""

import re
from pathlib import Path
from tomllib import loads

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from kills import TARGETS
from snakemake_call import call_snakemake

PROJECT = Path(__file__).parents[2]
FILES = sorted((PROJECT / "rules").glob("*.smk"))
ORDER = [
    *("name", "input", "output", "log", "benchmark", "wildcard_constraints", "conda", "threads", "resources"),
    *("params", "shell"),
]
MOST_LINES = 40
MEAN_LINES = 25


def rules_of(text: str) -> dict[str, list[str]]:
    """The lines of each rule, by its name."""
    found: dict[str, list[str]] = {}
    indent = None
    for line in text.splitlines():
        start = re.match(r"( *)(?:use )?rule ?(?:\w+ as )?(\w*)(?: with)?:$", line)
        if start:
            indent, lines = len(start[1]), found.setdefault(start[2], [])
        elif line.strip() and indent is not None and len(line) - len(line.lstrip()) <= indent:
            indent = None
        if indent is not None and line.strip():
            lines.append(line[indent:])
    return found


RULES = {name: lines for path in FILES for name, lines in rules_of(path.read_text()).items()}


def directives(lines: list[str]) -> list[str]:
    return [match[1] for line in lines if (match := re.match(r"    (\w+):", line))]


def test_all_rules_are_found() -> None:
    assert {"simulate", "train", "predict_heldout", "ensemble_test_labelled", ""} <= RULES.keys()
    assert directives(RULES["train"]) == [name for name in ORDER if name != "name"]


@pytest.mark.parametrize("name", sorted(RULES))
def test_directives_have_one_order(name: str) -> None:
    found = directives(RULES[name])
    assert found == sorted(found, key=ORDER.index)


@pytest.mark.parametrize("name", sorted(name for name in RULES if name))
def test_run_times_are_filed_under_the_name_of_the_rule(name: str) -> None:
    """The figure of run times takes names from these files; a rule made from another has its own."""
    text = "\n".join(RULES[name])
    path = re.search(r"benchmark:\s+f\"\{BENCHMARKS\}/(\w+)", text)
    if path is None:  # a job of seconds, which has none at all
        assert "benchmark:" not in text and "use rule" not in text
    else:
        assert path[1] == name


def test_rules_are_short() -> None:
    lengths = {name: len(lines) for name, lines in RULES.items()}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES} == {}
    assert sum(lengths.values()) / len(lengths) <= MEAN_LINES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_internals_of_snakemake_are_used_in_one_file(path: Path) -> None:
    """`workflow` is no documented object, and of the modules of Snakemake only `utils` is one."""
    text = re.sub(r'""".*?"""|#.*', "", path.read_text(), flags=re.DOTALL)
    found = re.findall(r"\bworkflow\.\w+|from snakemake\.(?!utils)\w+", text)
    assert bool(found) == (path.name == "internals.smk"), found


def test_the_snakefile_repairs_one_path_and_uses_no_other_internals() -> None:
    """Before that, it could include no file."""
    found = re.findall(r"(?<!/)\bworkflow\.\w+|from snakemake\.\w+", (PROJECT / "Snakefile").read_text())
    assert {*found} == {"workflow.included_stack", "from snakemake.utils"}


def test_every_internal_is_explained() -> None:
    """By a comment above, or the docstring of the function around it."""
    text = (PROJECT / "rules/internals.smk").read_text()
    for paragraph in re.split(r"\n\n+", text):
        for line in paragraph.splitlines():
            if re.match(r"[A-Z_]+ = .*workflow\.", line):
                assert paragraph.startswith("#"), line
    functions = re.findall(r"^def \w+\(.*\):\n(.*)", text, re.MULTILINE)
    assert len(functions) > 5
    assert all(line.startswith('    """') for line in functions)


def test_the_version_of_snakemake_is_bounded_where_internals_were_tried() -> None:
    project = loads((PROJECT / "pyproject.toml").read_text())["project"]
    (snakemake,) = (
        requirement
        for requirement in map(Requirement, project["optional-dependencies"]["workflow"])
        if requirement.name == "snakemake"
    )
    (lowest,) = re.findall(r'min_version\("(.+)"\)', (PROJECT / "Snakefile").read_text())
    (tried,) = re.findall(r"tried with (\d+\.\d+)", (PROJECT / "rules/internals.smk").read_text())
    assert tried in snakemake.specifier
    assert lowest in snakemake.specifier
    next_minor = f"{Version(tried).major}.{Version(tried).minor + 1}"
    assert next_minor not in snakemake.specifier


def test_run_times_are_drawn_after_all_other_targets() -> None:
    """From one list, so that none is forgotten."""
    text = "\n".join([(PROJECT / "Snakefile").read_text(), *(path.read_text() for path in FILES)])
    assert len(re.findall(r"^TARGETS = ", text, re.MULTILINE)) == 1
    assert "others=ancient(TARGETS)" in text
    assert re.search(r"rule all:\n    default_target: True\n    input:\n        TARGETS,\n", text)


def test_folders_of_results_are_named_once() -> None:
    """A path that several rules write to or read has a name in rules/common.smk."""
    typed = [
        f"{path.name}: {line.strip()}"
        for path in FILES
        if path.name != "common.smk"
        for line in path.read_text().splitlines()
        if re.search(
            r"results/(ensemble|evaluation|drift|models|predictions|benchmarks|inspection|splits)\b", line
        )
    ]
    assert typed == []


def test_what_snakemake_lints_holds_but_for_helpers_beside_their_rules() -> None:
    """Its lint wants all functions in one file, where nobody who reads a rule would look for them."""
    code, said = call_snakemake(PROJECT, "--lint", "--configfile", "config/config.yaml")
    assert code == 1, said
    found = re.findall(r"^    \* (.*)$", said, re.MULTILINE)
    assert {*found} == {"Mixed rules and functions in same snakefile.:"}


def test_every_rule_is_attacked() -> None:
    """By kills, see there; what is only made when asked for makes its files as the others do."""
    code, said = call_snakemake(PROJECT, "--list-rules", "--configfile", "config/config.yaml")
    assert code == 0
    known = {line for line in said.splitlines() if line.isidentifier()}
    assert {"build_buckets", "train", "submission"} <= known
    made_when_asked_for = {
        *("sim_to_real", "measure_transfer", "run_trial", "conclude_search", "plot_search", "capsule"),
        *("catalogue", "predict_train", "ensemble_train", "describe_crate"),
    }
    assert known - set(TARGETS) == {"all"} | made_when_asked_for


def test_no_function_of_the_rules_is_defined_twice() -> None:
    """All files share one namespace: the later one would replace the other without a word."""
    names = [
        name
        for path in [PROJECT / "Snakefile", *FILES]
        for name in re.findall(r"^(?:    )?def (\w+)\(", path.read_text(), re.MULTILINE)
    ]
    assert len(names) > 50
    assert len(set(names)) == len(names), sorted(name for name in set(names) if names.count(name) > 1)
