"""What is measured of an ensemble's answers where the truth is known: JSON files of metrics and of errors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, StringConstraints

from stronglens.formats.sidecar import Part, Sidecar, holding
from stronglens.running.errors import InputError

GLOBAL, DOMAIN = "global", "domain::"
"""Key of what is measured of all objects, and how those of single domains begin."""

DomainKey = Annotated[str, StringConstraints(pattern=f"^{DOMAIN}")]

MetricsBlock = Annotated[dict[str, Any], holding("roc_auc", "threshold")]
"""Metrics by name (see `stronglens.scoring.metrics.metrics_at`), None where undefined. `intervals`: the
confidence intervals, [low, high]; `warnings`: texts."""

FieldBlock = Annotated[dict[str, Any], holding("n_lenses", "n_others", "intervals")]
"""See `stronglens.scoring.field_metrics.field_metrics`."""


class _ByDomain(Sidecar):
    """Something for all objects, and for those of each domain."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[DomainKey, Any]

    of_all: Any = Field(alias=GLOBAL)

    @property
    def blocks(self) -> dict[str, Any]:
        """What is measured, by `global` and `domain::NAME`."""
        return {GLOBAL: self.of_all, **(self.model_extra or {})}


class Metrics(_ByDomain):
    """What `metrics_val_ens.json` or `metrics_test_ens.json` says.

    The one sidecar without `format`: each key of these files is the original pipeline's, and programs that go
    through them take each for a set of objects.
    """

    KIND: ClassVar[str] = "metrics of an ensemble"
    NUMBERED: ClassVar[bool] = False

    __pydantic_extra__: dict[DomainKey, MetricsBlock]

    of_all: MetricsBlock = Field(alias=GLOBAL)


class FieldMetrics(_ByDomain):
    """What `field_metrics.json` says."""

    KIND: ClassVar[str] = "the field's metrics of an ensemble"

    __pydantic_extra__: dict[DomainKey, FieldBlock]

    of_all: FieldBlock = Field(alias=GLOBAL)
    calibration: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Errors of calibration, by the column of probabilities."""


Errors = dict[str, dict[str, Any]]
"""By parameter, see `stronglens.scoring.lens_errors.errors_of`."""


class LensErrors(_ByDomain):
    """What `lens_parameters.json` says of estimates of lens parameters."""

    KIND: ClassVar[str] = "errors of lens parameters"

    __pydantic_extra__: dict[DomainKey, Errors]

    of_all: Errors = Field(alias=GLOBAL)
    found: Errors = Field(default_factory=dict)
    """Of the lenses that are found alone."""


def read_errors(path: Path, names: Sequence[str]) -> Errors:
    """Read the errors of all lenses, by parameter, from `lens_parameters.json`.

    Raises
    ------
    InputError
        The file is missing or malformed, or lacks one of the parameters.
    """
    errors = LensErrors.read(path).of_all
    missing = [name for name in names if name not in errors]
    if missing:
        raise InputError(f"{path}: expected errors of {', '.join(names)}; found none of {', '.join(missing)}")
    return errors


class Measured(Part):
    """A metric, None where undefined, and its confidence interval, [low, high]."""

    value: float | None
    interval: list[float] | None


class Transfer(Sidecar):
    """What `transfer.json` says (see `stronglens.scoring.transfer.measure_transfer`)."""

    KIND: ClassVar[str] = "what is lost between two domains"

    source: str
    """Domains that networks learnt from."""
    target: str
    """Domains where they were tried."""
    confidence: float
    """Of the intervals."""
    n_resamples: int
    n_objects: dict[str, int]
    """By side."""
    in_domain: dict[str, Measured]
    cross_domain: dict[str, Measured]
    drop: dict[str, Measured]
    """What is lost from the one to the other."""
    reference: dict[str, Measured]
    """Of networks that learnt from all domains, on the target."""
    gap: dict[str, Measured]
    """What those find more there."""
