"""Which combinations learn from validation, and which are plain means."""

import pytest
from pydantic import ValidationError

from stronglens.settings.decide import CombineSettings, EnsembleSettings, SubmissionSettings


@pytest.mark.parametrize(
    ("given", "is_fitted", "is_plain"),
    [
        ({}, False, True),
        ({"validation_domains": ["hsc"]}, False, True),
        ({"combine_members": "mean_of_logits"}, False, False),
        ({"combine_members": "weighted"}, True, False),
        ({"combine_bands": "logistic"}, True, False),
        ({"calibration": "platt"}, True, False),
        ({"calibration": "temperature", "sky_prevalence": 1e-4}, True, False),
    ],
)
def test_what_learns_from_validation(given: dict[str, object], is_fitted: bool, is_plain: bool) -> None:
    settings = CombineSettings.model_validate(given)
    assert (settings.is_fitted, settings.is_plain) == (is_fitted, is_plain)
    # What an ensemble says of it is the same, without the ensemble.
    ensemble = EnsembleSettings.model_validate(given | {"models": ["nano"], "level": "file"})
    assert ensemble.combination == settings
    assert type(ensemble.combination) is CombineSettings


def test_domains_are_named_once() -> None:
    with pytest.raises(ValidationError, match="validation_domains: found one twice"):
        CombineSettings(validation_domains=["hsc", "slsim", "hsc"])


def test_what_is_off_is_in_no_record() -> None:
    assert "lens_parameters" not in SubmissionSettings(ensemble="a").model_dump(mode="json")
    assert SubmissionSettings(ensemble="a", lens_parameters=True).model_dump()["lens_parameters"] is True
