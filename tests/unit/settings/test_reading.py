"""How sources are read: names of surveys, and which of two settings counts."""

from typing import Any

import pytest
from pydantic import ValidationError

from stronglens.settings.reading import PRESETS, ReadSettings

NAMES = {
    "challenge": {"D1_L_00000000_g": ("D1_L_00000000", "g")},
    "folder_per_object": {"obj 1/HSC-G": ("obj 1", "HSC-G")},
    "folder_per_object_and_survey": {"obj_1/HSC_g": ("obj_1", "g")},
    "hsc": {
        "1234-cutout-HSC-G-9813-pdr3_wide": ("1234", "G"),
        "2_HSC-I2": ("2", "I"),
        "a-b_cutout_HSC-Y": ("a-b", "Y"),
    },
    "des": {"DES0001-0001_Y": ("DES0001-0001", "Y")},
    "sdss": {"frame-r-001000-1-0027": ("001000-1-0027", "r")},
    "ps1": {"cutout_rings.v3.skycell.1.stk.g.unconv": ("rings.v3.skycell.1", "g"), "a.stk.y": ("a", "y")},
    "euclid": {"x_NISP-J_1": ("x", "J"), "EUC-VIS": ("EUC", "VIS"), "12_NIR_H": ("12", "H")},
    "lens_finding_challenge": {"imageEUC_VIS-200000": ("200000", "VIS")},
}
"""Names without their ending, and object and band in them."""


def wrong(**settings: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        ReadSettings.model_validate(settings)
    return "; ".join(problem["msg"] for problem in caught.value.errors())


@pytest.mark.parametrize("preset", PRESETS)
def test_names_of_surveys_say_object_and_band(preset: str) -> None:
    settings = ReadSettings(name_pattern=preset)
    assert settings.name_pattern == PRESETS[preset]  # spelt out, for the records
    for name, expected in NAMES[preset].items():
        found = settings.pattern.fullmatch(name)
        assert found is not None, name
        assert (found["object"], found["band"]) == expected


def test_the_challenge_s_names_are_the_default() -> None:
    assert ReadSettings().pattern.pattern == PRESETS["challenge"]
    assert ReadSettings().model_dump(mode="json") == {}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name_pattern": "(?P<object>"}, "expected a regular expression"),
        ({"name_pattern": "(.*)"}, "found the groups none, expected object, band and perhaps survey"),
        ({"name_pattern": "(?P<band>.)"}, "found the groups band, expected object"),
        ({"name_pattern": "(?P<object>.)(?P<x>.)"}, "found the groups object, x, expected"),
        ({"ignore_pattern": "["}, "expected a regular expression"),
        ({"band_keyword": "FILTER", "band_axis": 0}, "band_keyword and band_axis each say the band"),
        ({"hdu": {"g": 1}, "name_pattern": "des"}, "name_pattern and hdu each say the band"),
        ({"axis_bands": ["g"]}, "axis_bands: expected band_axis beside it"),
    ],
)
def test_what_does_not_go_together(settings: dict[str, Any], said: str) -> None:
    assert said in wrong(**settings)


@pytest.mark.parametrize(
    ("settings", "elsewhere"),
    [
        ({}, False),
        ({"hdu": "SCI"}, False),
        ({"hdu": {"g": "SCI"}}, True),
        ({"band_axis": 0}, True),
        ({"band_keyword": "FILTER", "name_pattern": "(?P<object>.*)"}, True),
    ],
)
def test_whether_a_name_says_the_band(settings: dict[str, Any], elsewhere: bool) -> None:
    assert ReadSettings.model_validate(settings).band_is_elsewhere == elsewhere


def test_a_part_s_settings_go_before_those_of_the_whole() -> None:
    whole = ReadSettings(fit="crop", unit="nJy", band_keyword="FILTER")
    assert ReadSettings(fit="pad").within(whole) == {"fit": "pad", "unit": "nJy", "band_keyword": "FILTER"}
    # One that says the band in a way of its own has no other.
    assert ReadSettings(band_axis=0).within(whole) == {"band_axis": 0, "fit": "crop", "unit": "nJy"}
    assert ReadSettings().within(ReadSettings()) == {}


def test_only_what_is_given_is_written() -> None:
    given = {"hdu": "SCI", "sentinels": [-9999.0], "max_depth": 0}
    settings = ReadSettings.model_validate(given)
    assert settings.model_dump(mode="json") == settings.reading == given


def test_columns_have_their_own_names_or_those_given() -> None:
    settings = ReadSettings(columns={"id": "object_id"})
    assert (settings.column("id"), settings.column("ra")) == ("object_id", "ra")
