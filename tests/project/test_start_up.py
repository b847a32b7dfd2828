"""Only steps that use a network wait for PyTorch, and none before it has read its command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from stronglens.running.fingerprint import EXEMPT, fingerprint

FOLDER = Path(__file__).parents[2] / "workflow" / "scripts"
STEPS = sorted(script.stem for script in FOLDER.glob("*.py"))
USE_NETWORKS = {"train", "run_trial", "predict", "import_member", "capsule"}


def modules_of(step: str) -> list[str]:
    """All modules of the library that a step imports and that compute something, and those that never do."""
    names = [name for name in fingerprint(FOLDER / f"{step}.py") if name.startswith("stronglens.")]
    return [name for name in names if not name.startswith("stronglens.settings.")] + list(EXEMPT)


@pytest.mark.parametrize("step", STEPS)
def test_only_steps_with_a_network_import_torch_and_they_late(step: str) -> None:
    late = "\n".join(f"import {module}" for module in modules_of(step))
    code = f"import sys, {step}\nprint('torch' in sys.modules)\n{late}\nprint('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", str(step in USE_NETWORKS)]
