"""`make test` fails where the tests run too little of a package."""

from pathlib import Path

import pytest
from coverage import CoverageData

from package_coverage import main


def measured(folder: Path, lines: dict[str, list[int]]) -> str:
    """A library of packages with a module of ten lines each, of which these were run."""
    data = CoverageData(str(folder / "data"))
    for package, run in lines.items():
        module = folder / "library" / package / "module.py"
        module.parent.mkdir(parents=True)
        module.with_name("__init__.py").touch()
        module.write_text("".join(f"x{number} = {number}\n" for number in range(10)))
        data.add_lines({str(module): run})
    data.write()
    return str(folder / "data")


def test_a_package_of_which_too_little_is_run_fails_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_file = measured(
        tmp_path, {"whole": [*range(1, 11)], "most": [*range(1, 10)], "half": [*range(1, 6)]}
    )
    assert main(tmp_path / "library", data_file) == 1
    printed = capsys.readouterr().out
    assert [line.split()[:2] for line in printed.splitlines() if line.endswith(" %")] == [
        ["half", "50.0"],
        ["most", "90.0"],
        ["whole", "100.0"],
    ]
    assert "6-10" in printed
    assert "whole/module.py" not in printed


def test_enough_of_every_package_passes(tmp_path: Path) -> None:
    assert main(tmp_path / "library", measured(tmp_path, {"most": [*range(1, 10)]})) == 0


def test_a_package_that_no_test_imports_counts_as_not_run(tmp_path: Path) -> None:
    data_file = measured(tmp_path, {"most": [*range(1, 10)], "forgotten": []})
    assert main(tmp_path / "library", data_file) == 1
