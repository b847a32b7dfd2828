"""Parameters of lenses that may be estimated: those that survive a turn."""

import pytest
from pydantic import ValidationError

from stronglens.settings.lens_parameters import LENS_PARAMETERS, LensParameterSettings, in_order


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("Rien", r"found Rien, expected the name of a parameter; did you mean Rein\?"),
        ("xyz", "expected the name of a parameter; there are Rein, zlens, zsrc, mag_lens_g"),
        ("sh_PA", "an angle that changes with the orientation"),
        ("srcy", "an offset that changes with the orientation"),
        ("Dec", "a place in the sky"),
    ],
)
def test_others_are_refused_with_the_reason(target: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LensParameterSettings(targets=["Rein", target])


def test_each_is_named_once() -> None:
    with pytest.raises(ValidationError, match="found Rein, zsrc more than once"):
        LensParameterSettings(targets=["zsrc", "Rein", "zlens", "Rein", "zsrc"])


def test_columns_have_one_order() -> None:
    assert in_order({"zsrc", "sh", "Rein", "mag_src_g", "mag_lens_y"}) == [
        *("Rein", "zsrc", "mag_lens_y", "mag_src_g", "sh")
    ]
    assert in_order(set(LENS_PARAMETERS)) == list(LENS_PARAMETERS)
    assert in_order({"unknown"}) == []


def test_they_have_units() -> None:
    units = {unit for name, unit in LENS_PARAMETERS.items() if name.startswith("mag_")}
    assert units == {"mag"}
    assert (LENS_PARAMETERS["Rein"], LENS_PARAMETERS["vel disp"], LENS_PARAMETERS["zlens"]) == (
        "arcsec",
        "km/s",
        "",
    )
