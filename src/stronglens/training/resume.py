"""The state from which a training that was cut short goes on."""

import hashlib
import io
import json
import logging
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from stronglens.artefact import write_aside

STATE = "state.pt"


def code_sha256() -> str:
    """SHA-256 over the script and all modules of this library that are loaded.

    A resumed run has one code throughout.
    """
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        source = getattr(module, "__file__", None)
        if (name in ("__main__", "stronglens") or name.startswith("stronglens.")) and source:
            digest.update(name.encode() + b"\0" + Path(source).read_bytes())
    return digest.hexdigest()


def save_state(folder: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write what is needed to go on after an epoch, replacing the state of the epoch before.

    Parameters
    ----------
    folder : Path
        The member's `resume` folder.
    identity : mapping
        All that must be the same for the state to be used again: settings, seed, data, code, versions.
    state : mapping
        Tensors, numbers, strings and containers of these.
    """
    # Written to memory first: on a full disk torch would report an error of its own, not that one.
    content = io.BytesIO()
    torch.save({"identity": json.dumps(identity, sort_keys=True), "state": dict(state)}, content)
    with write_aside(folder / STATE) as aside:
        aside.write_bytes(content.getbuffer())


def load_state(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read a state, if there is one for exactly this training.

    A state of another training (other settings, data, code) or one that cannot be read is moved to
    `resume.stale/` beside the folder, which is said in the log.

    Returns
    -------
    dict or None
        The state, or None if training starts anew.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        found = json.loads(kept["identity"])
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, training must not fail for it
        _set_aside(folder, f"it cannot be read ({type(error).__name__})")
        return None
    differing = sorted(
        key
        for key in identity.keys() | found.keys()
        if json.dumps(identity.get(key), sort_keys=True) != json.dumps(found.get(key), sort_keys=True)
    )
    if differing:
        _set_aside(folder, f"it belongs to a training with other {', '.join(differing)}")
        return None
    state: dict[str, Any] = kept["state"]
    return state


def clear_state(folder: Path) -> None:
    """Remove a state that is not needed any more."""
    shutil.rmtree(folder, ignore_errors=True)


def _set_aside(folder: Path, reason: str) -> None:
    stale = folder.with_name("resume.stale")
    shutil.rmtree(stale, ignore_errors=True)
    folder.rename(stale)
    logging.getLogger("stronglens").warning(
        "resume state %s is not used: %s; moved to %s, training starts anew", folder, reason, stale
    )
