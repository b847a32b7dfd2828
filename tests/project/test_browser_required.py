"""Tests in a browser may be skipped where there is none, but never in silence where they are required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("required", [True, False])
def test_without_a_browser_its_tests_are_skipped_or_refused(tmp_path: Path, required: bool) -> None:
    surroundings = os.environ | {"PATH": str(tmp_path)}
    surroundings.pop("STRONGLENS_BROWSER", None)
    if required:
        surroundings["STRONGLENS_BROWSER"] = "required"
    command = [sys.executable, "-m", "pytest", "--browser", "-p", "no:cacheprovider", "-k", "help"]
    done = subprocess.run(
        [*command, "tests/browser/test_candidates_page.py"],
        cwd=PROJECT,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "chromium (apt-get install chromium chromium-driver)" in said
    assert done.returncode == (pytest.ExitCode.USAGE_ERROR if required else pytest.ExitCode.OK), said


def test_what_passes_before_a_change_is_taken_requires_them() -> None:
    assert "export STRONGLENS_BROWSER=required\n" in (PROJECT / ".ci/run").read_text()
