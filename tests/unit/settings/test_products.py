"""Settings of what is made of a finished ensemble."""

import pytest
from pydantic import ValidationError

from stronglens.settings.products import CandidatesSettings, KnownLensesSettings


@pytest.mark.parametrize(
    ("bands", "shown"),
    [
        (["g", "r", "i", "z", "y"], ["i", "r", "g"]),
        (["u", "g", "r"], ["r", "g", "u"]),
        (["VIS", "Y", "J", "H"], ["J", "Y", "VIS"]),
        (["Y", "J"], ["J", "J", "Y"]),
        (["VIS"], ["VIS"] * 3),
    ],
)
def test_colours_are_bands_in_order_of_wavelength(bands: list[str], shown: list[str]) -> None:
    assert CandidatesSettings().colours(bands) == shown
    assert CandidatesSettings(colour_bands=["a", "b", "c"]).colours(bands) == ["a", "b", "c"]


@pytest.mark.parametrize("bands", [[], ["i", "r"], ["i", "r", "g", "z"]])
def test_a_picture_has_three_colours(bands: list[str]) -> None:
    with pytest.raises(ValidationError, match="expected three bands"):
        CandidatesSettings(colour_bands=bands)


def test_a_path_is_short_for_a_table_of_lenses() -> None:
    settings = KnownLensesSettings.model_validate(
        {"tables": {"mine": "/d/x.csv", "b": {"path": "/b", "ra": "R"}}}
    )
    assert (settings.tables["mine"].path, settings.tables["mine"].ra) == ("/d/x.csv", "ra")
    assert (settings.tables["b"].ra, settings.tables["b"].dec) == ("R", "dec")
    with pytest.raises(ValidationError, match="found no table of known lenses"):
        KnownLensesSettings()
