"""Finding strong gravitational lenses in survey cutouts. Knows nothing of Snakemake.

`load` opens a capsule, `Finder.predict` gives probabilities for pixels in memory, `read_cutouts` reads what
packing reads:

>>> import stronglens
>>> finder = stronglens.load("nano.capsule")
>>> result = finder.predict(images, bands="grizy")
>>> result.prob.shape == (len(images),)
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stronglens.finder.cutouts import Cutouts, read_cutouts
    from stronglens.finder.finder import Finder, load
    from stronglens.finder.result import Flag, Result
    from stronglens.running.errors import InputError

__all__ = ["Cutouts", "Finder", "Flag", "InputError", "Result", "load", "read_cutouts"]

# Loaded when asked for: every step imports this package, and few want PyTorch.
_MODULES = {
    "Cutouts": "stronglens.finder.cutouts",
    "Finder": "stronglens.finder.finder",
    "Flag": "stronglens.finder.result",
    "InputError": "stronglens.running.errors",
    "Result": "stronglens.finder.result",
    "load": "stronglens.finder.finder",
    "read_cutouts": "stronglens.finder.cutouts",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
