"""Settings of the physical parameters of lenses that a network may estimate beside its logit."""

import difflib
from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, field_validator

from stronglens.settings.base import Settings

_BANDS = "grizy"

LENS_PARAMETERS: dict[str, str] = {
    "Rein": "arcsec",
    "zlens": "",
    "zsrc": "",
    **{f"mag_lens_{band}": "mag" for band in _BANDS},
    **{f"mag_src_{band}": "mag" for band in _BANDS},
    "ell_l": "",
    "ell_m": "",
    "ell_s": "",
    "vel disp": "km/s",
    "sh": "",
    "Reff_l": "arcsec",
    "n_l_sers": "",
    "Reff_s": "arcsec",
    "n_s_sers": "",
}
"""Names and units of the parameters that can be estimated, as the challenge calls them: those that a lens
keeps when its image is turned or mirrored. Their order is the order of columns."""

_ANGLES = ("ell_m_PA", "sh_PA", "ell_l_PA", "ell_s_PA")
_OFFSETS = ("srcx", "srcy")
_POSITIONS = ("RA", "Dec", "ra", "dec")

LensParameter = Annotated[str, Field(json_schema_extra={"enum": list(LENS_PARAMETERS)})]


class LensParameterSettings(Settings):
    """Estimates of physical parameters of lenses beside the probability: one more output of the network for
    each, learnt from the lenses of the training split whose `parameters.fits` gives a value.

    An estimate is what the parameter would be if the object were a lens; of objects that are none it means
    nothing. How accurate estimates are on real data has not been measured.
    """

    targets: list[LensParameter] = Field(min_length=1, examples=["[Rein, zlens, zsrc]"])
    """Parameters to estimate, by the names of their columns in `parameters.fits`. Angles and positions are
    not among them: they change when an image is turned or mirrored, as training and test-time augmentation
    do."""
    weight: float = Field(1.0, gt=0, le=100, examples=[1.0])
    """Weight of their loss beside that of the probability, the binary cross-entropy. Their loss is the mean
    smooth L1 loss (Huber's) over all known values of a batch, in units of each parameter's standard deviation
    among the lenses of the training split; with `uncertainties` the likelihood's."""
    # Not in records where it is off: a member without is the same, byte for byte, as before there was any.
    uncertainties: bool = Field(False, exclude_if=lambda value: not value)
    """Learn a standard deviation beside each estimate, with the likelihood of a Gaussian as loss. Ensembles
    calibrate it on their validation lenses, so that 68 % of the true values are within one. All models of an
    ensemble that estimate parameters have it, or none. See docs/lens_parameters.md."""

    @field_validator("targets")
    @classmethod
    def _targets_are_known(cls, targets: list[str]) -> list[str]:
        for name in targets:
            if name not in LENS_PARAMETERS:
                raise ValueError(f"found {name}, {_what_is_wrong_with(name)}")
        twice = sorted({name for name in targets if targets.count(name) > 1})
        if twice:
            raise ValueError(f"found {', '.join(twice)} more than once")
        return targets


def in_order(names: set[str]) -> list[str]:
    """Names of parameters in the order of columns."""
    return [name for name in LENS_PARAMETERS if name in names]


def std_column(name: str) -> str:
    """The column beside that of a parameter: its standard deviation."""
    return f"{name}_std"


def columns_of(names: Iterable[str]) -> list[str]:
    """Columns of parameters, each followed by its standard deviation."""
    return [column for name in names for column in (name, std_column(name))]


def _what_is_wrong_with(name: str) -> str:
    changes = "training and test-time augmentation turn and mirror images; leave it out"
    if name in _ANGLES:
        return f"an angle that changes with the orientation of the image, and {changes}"
    if name in _OFFSETS:
        return f"an offset that changes with the orientation of the image, and {changes}"
    if name in _POSITIONS:
        return "a place in the sky, of which a cutout says nothing; leave it out"
    close = difflib.get_close_matches(name, LENS_PARAMETERS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(LENS_PARAMETERS)}"
    return f"expected the name of a parameter; {hint}"
