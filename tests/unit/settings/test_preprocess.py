"""Settings of preprocessing: which need a measurement, and which contradict each other."""

from typing import Any

import pytest
from pydantic import ValidationError

from stronglens.settings.preprocess import PreprocessSettings

ASINH = {"normalisation": "asinh"}


@pytest.mark.parametrize(
    ("given", "measures", "needs"),
    [
        ({}, False, False),
        (ASINH, True, True),
        (ASINH | {"asinh_softening_in_noise": 20}, True, True),
        (ASINH | {"asinh_softening": 0.1}, False, False),
        (ASINH | {"asinh_softening_of_band": {"g": 0.1}}, True, False),
    ],
)
def test_which_softenings_are_measured(given: dict[str, Any], measures: bool, needs: bool) -> None:
    settings = PreprocessSettings.model_validate(given)
    assert (settings.measures_noise, settings.needs_noise) == (measures, needs)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"smoothing": "psf"}, "smoothing is psf, but psf_target_fwhm_px is missing"),
        (
            ASINH | {"asinh_softening_in_noise": 12, "asinh_softening": 0.1},
            "asinh_softening_in_noise and asinh_softening are both given",
        ),
        (
            ASINH | {"asinh_softening_in_noise": 12, "asinh_softening_of_band": {"g": 1}},
            "asinh_softening_in_noise and asinh_softening_of_band are both given",
        ),
        ({"asinh_softening_in_noise": 12}, "given, but normalisation is cutout"),
        (ASINH | {"normalise": False}, "normalisation is asinh, but normalise is false"),
    ],
)
def test_what_does_not_go_together(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PreprocessSettings.model_validate(given)
