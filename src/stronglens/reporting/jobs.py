"""The jobs of a run: where each leaves its benchmark."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from stronglens.settings.base import Settings

_WILDCARD = re.compile(r"\{(\w+)\}")


class Jobs(Settings):
    """What the jobs of a run are named after."""

    patterns: list[str] = Field(default_factory=list)
    """Benchmark files of all rules, with Snakemake's wildcards, in the folder of the benchmarks."""
    members: dict[str, list[int]] = Field(default_factory=dict)
    """The seeds of each model: values of `{model}` and `{seed}`."""
    ensembles: list[str] = Field(default_factory=list)
    """Values of `{ensemble}`."""
    parts: dict[str, int] = Field(default_factory=dict)
    """The number of parts of each test set: values of `{testset}` and `{part}`."""

    def benchmarks(self, folder: Path) -> list[Path]:
        """The benchmark files that are there, in the order of their names.

        Files of members, ensembles and test sets that are no more part of the run are left out. Any value is
        taken for a wildcard that is not known here.
        """
        found = {
            path for pattern in self.patterns for name in self._names(pattern) for path in folder.glob(name)
        }
        return sorted(found)

    def _names(self, pattern: str) -> Iterator[str]:
        wanted = set(_WILDCARD.findall(pattern))
        known = (
            [{"model": model, "seed": str(seed)} for model, seeds in self.members.items() for seed in seeds],
            [{"ensemble": ensemble} for ensemble in self.ensembles],
            [
                {"testset": testset, "part": str(part)}
                for testset, n_parts in self.parts.items()
                for part in range(n_parts)
            ],
        )
        needed = [values for values in known if values and wanted & values[0].keys()]
        for chosen in itertools.product(*needed):
            values = {name: value for one in chosen for name, value in one.items()}
            yield pattern.format_map({name: values.get(name, "*") for name in wanted})
