"""Which networks there are, found without importing timm."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

OWN = frozenset({"cutout_resnet"})
"""Networks that `stronglens.networks` adds to those of timm."""

_REGISTERED = re.compile(r"@register_model\s+def (\w+)\(")


@cache
def timm_names() -> frozenset[str]:
    """Names of timm's networks, as its sources register them, and of our own.

    Importing timm, and PyTorch with it, takes seconds, every `snakemake -n` again; reading takes 0.03 s.

    Returns
    -------
    frozenset of str
        Without the tags of weights that follow a dot; empty where timm is not installed, as on a host that
        only submits jobs with environments of their own.
    """
    spec = find_spec("timm")
    if spec is None or spec.origin is None:
        return frozenset()
    sources = Path(spec.origin).parent.glob("models/*.py")
    registered = (name for path in sources for name in _REGISTERED.findall(path.read_text("utf-8")))
    return OWN.union(registered)
