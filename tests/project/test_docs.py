"""The documentation: the site builds, links lead somewhere, commands exist, messages are the code's."""

import ast
import importlib
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path

import pytest
import yaml

from snakemake_call import call_snakemake
from stronglens.configuring.config import check_config

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.name != "commands.md"),
    ROOT / "config" / "README.md",
    ROOT / "benchmarks" / "RESULTS.md",
]
MAKEFILE = (ROOT / "Makefile").read_text()


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="the extra `docs` is not installed")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    command += [
        "--doctree-dir",
        str(tmp_path / "doctrees"),
        "--builder",
        "html",
        "docs",
        str(tmp_path / "site"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in ("index", "tutorial", "faq", "reference/commands", "reference/config", "reference/api"):
        assert (tmp_path / "site" / f"{page}.html").exists(), page
    assert "open_packed" in (tmp_path / "site" / "reference" / "api.html").read_text()
    assert "train.py" in (tmp_path / "site" / "reference" / "commands.html").read_text()


# Links


@cache
def prose_of(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^(```|~~~).*?^\1", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@cache
def anchors_of(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", prose_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        # The badge of the tests is on GitHub, wherever the repository is there.
        if re.match(r"[a-z]+:", target) or target.startswith("../../actions/"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or not file.is_relative_to(ROOT):
            wrong.append(f"{target}: no such file")
        elif anchor and anchor not in anchors_of(file):
            wrong.append(f"{target}: no such heading")
    assert not wrong


# Commands


def commands_on(page: Path) -> Iterator[list[str]]:
    """The words of each command on a page, in blocks for a shell and in backticks."""
    text = page.read_text()
    blocks = re.findall(r"^```bash\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    inline = re.findall(r"(?<!`)`((?:snakemake|make|python) [^`]+)`(?!`)", prose_of(page))
    for line in [*"\n".join(blocks).replace("\\\n", " ").splitlines(), *inline]:
        words = shlex.split(line.replace("\n", " "), comments=True)
        for command in split_at_operators(words):
            if command[0] in ("snakemake", "make", "python", "cp") and not re.search(
                "…|NAME|STAGE", " ".join(command)
            ):
                yield command


def split_at_operators(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    for word in [*words, ";"]:
        if word in ("&&", "|", ";", ">", "do", "done") or word.endswith(";"):
            if command:
                yield command
            command = []
        elif not re.fullmatch(r"[A-Z_]+=.*", word) or command:
            command.append(word)


COMMANDS = sorted({(name_of(page), *command) for page in PAGES for command in commands_on(page)})


def test_commands_are_found() -> None:
    named = {found[1:] for found in COMMANDS}
    assert ("make", "submission") in named
    assert ("snakemake", "--profile", "pbs") in named
    assert any(command[:2] == ("python", "train.py") for command in named)


def test_make_knows_the_targets_and_variables_of_the_pages() -> None:
    targets = set(re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, flags=re.MULTILINE)[1].split()) - {"\\"}
    for page, program, *words in COMMANDS:
        for word in words if program == "make" else ():
            name, is_variable, _ = word.partition("=")
            known = f"$({name})" in MAKEFILE if is_variable else name in targets
            assert known, f"{page}: make {word}"


def test_files_that_are_copied_exist() -> None:
    for page, program, *words in COMMANDS:
        if program == "cp":
            assert (ROOT / words[0]).exists(), f"{page}: cp {words[0]}"


@cache
def help_of(script: Path) -> str:
    printed = StringIO()
    with pytest.raises(SystemExit), redirect_stdout(printed), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script.name, "--help"])
        patch.syspath_prepend(script.parent)
        runpy.run_path(str(script), run_name="__main__")
    return printed.getvalue()


def test_scripts_know_the_options_of_the_pages() -> None:
    for page, program, *words in COMMANDS:
        if program != "python" or not words[0].endswith(".py"):
            continue
        folders = (ROOT, ROOT / "workflow" / "scripts")
        scripts = [folder / words[0] for folder in folders if (folder / words[0]).exists()]
        assert scripts, f"{page}: {words[0]}"
        known = set(re.findall(r"--[\w.-]+", help_of(scripts[0])))
        given = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
        assert given <= known, f"{page}: {words[0]}: {given - known}"


def snakemake_commands() -> list[tuple[str, list[str]]]:
    return [(page, words) for page, program, *words in COMMANDS if program == "snakemake"]


def test_snakemake_knows_the_options_of_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    parser = importlib.import_module("snakemake.cli").get_argument_parser()
    known = {option for action in parser._actions for option in action.option_strings}
    for page, words in snakemake_commands():
        for word, value in zip(words, [*words[1:], ""], strict=True):
            assert not word.startswith("-") or word in known, f"{page}: snakemake {word}"
            if word == "--profile":
                assert (ROOT / value / "config.yaml").exists(), f"{page}: --profile {value}"
            if word == "--configfile":
                assert (ROOT / value).exists(), f"{page}: --configfile {value}"


def test_targets_on_the_pages_can_be_made(tmp_path: Path) -> None:
    targets = set()
    for _, words in snakemake_commands():
        # What follows an option is its value; targets come first.
        before = words[1:] if words[:1] == ["-n"] else words
        targets.update(word for word in before[:1] if not word.startswith("-"))
    assert {"submission.csv", "sim_to_real", "search_nano"} <= targets
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config["models"]["nano"] = config["models"]["atto"] | {"seeds": [42, 505]}
    config["ensembles"]["nano"] = {"models": ["nano"]}
    config["testsets"]["tile_000"] = dict(config["testsets"]["challenge"])
    config["capsule"]["distil"] = True
    config["searches"] = {"nano": {"model": "nano", "space": {"train.lr": {"low": 1e-5, "high": 2e-3}}}}
    own = tmp_path / "config.yaml"
    own.write_text(yaml.safe_dump(config))
    arguments = ["-n", "--directory", str(tmp_path), "--configfile", str(own), "--cores", "1"]
    code, said = call_snakemake(ROOT, *sorted(targets), *arguments)
    assert code == 0, said


def test_the_first_try_is_a_config_of_the_challenge_with_lists() -> None:
    own, real = (
        yaml.safe_load((ROOT / "config" / name).read_text()) for name in ("first_try.yaml", "challenge.yaml")
    )
    config = check_config(own, "first_try.yaml")
    assert own["data"]["labelled"].keys() == real["data"]["labelled"].keys()
    lists = [*own["data"]["labelled"].values(), own["testsets"]["challenge"]["path"]]
    made = re.search(r"^for set in (.*); do", (ROOT / "README.md").read_text(), flags=re.MULTILINE)[1].split()
    assert lists == [f"lists/{name}.txt" for name in made]
    assert config.models["atto"].seeds == [42, 101]


# Tests


def named_tests(page: Path) -> list[tuple[str, str, str]]:
    """Folder, file and function of every test that a page names, in any block or line."""
    found = re.findall(r"((?:[\w-]+/)*)(test_\w+\.py)(?:::(test_\w+))?", page.read_text())
    return [(folder, name, function) for folder, name, function in found]


@cache
def functions_of(test: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(test.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tests_on_the_pages_exist(page: Path) -> None:
    """The file once, in the folder that is named, and the function in it."""
    tests = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "plugins").rglob("test_*.py")]
    wrong = []
    for folder, name, function in named_tests(page):
        files = [test for test in tests if str(test).endswith(f"/{folder}{name}")]
        if len(files) != 1 or (function and function not in functions_of(files[0])):
            wrong.append(f"{folder}{name}::{function}: in {len(files)} files")
    assert not wrong


def test_the_page_of_attacks_names_a_test_in_every_line() -> None:
    page = (ROOT / "docs" / "RELIABILITY.md").read_text()
    tables = re.findall(r"^\| fault .*\n\|[-|]+\n((?:\|.*\n)+)", page, flags=re.MULTILINE)
    lines = [line for table in tables for line in table.splitlines()]
    assert len(lines) > 60
    assert [line for line in lines if "test_" not in line.rpartition(" | ")[2]] == []


# Messages


def texts_of_the_code() -> str:
    """Every text in the code, with a … for each value that is filled in; each one on a line."""
    texts = []
    sources = [
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "plugins").rglob("src/**/*.py"),
        ROOT / "rules/guard.smk",
    ]
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(text.replace("\n", " ") for text in texts) + MAKEFILE


def test_messages_in_the_faq_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "faq.md").read_text()
    terms = [
        lines for lines in re.findall(r"^(`.*)\n:", page, flags=re.MULTILINE) if "(Snakemake)" not in lines
    ]
    messages = [
        message for term in terms if "(PyTorch)" not in term for message in re.findall(r"`([^`]+)`", term)
    ]
    code = texts_of_the_code()
    # Some are put together from texts, at these.
    pieces = [
        piece.strip(" ():,") for message in messages for piece in re.split("…|expected | \\(|, |: ", message)
    ]
    checked = [piece for piece in pieces if len(piece) > 8]
    assert len(checked) > 35
    assert [piece for piece in checked if piece not in code] == []
