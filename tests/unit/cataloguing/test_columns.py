"""What the columns of a catalogue mean, in words that other programs know."""

import pytest
from astropy import units
from astropy.io.votable.ucd import check_ucd

from stronglens.cataloguing.columns import column
from stronglens.settings.lens_parameters import LENS_PARAMETERS

NAMES = ["id", "ra", "dec", "prob", "prob_std", "prob_sky", "pred", "known_lens", "flags", "n_cutouts"]
NAMES += [name + end for name in LENS_PARAMETERS for end in ("", "_std")]


@pytest.mark.parametrize("name", NAMES)
def test_units_and_ucds_are_known_to_astropy(name: str) -> None:
    one = column(name)
    assert one.says
    assert " " not in one.name
    if one.unit:
        units.Unit(one.unit, format="vounit")
    if one.ucd:
        assert check_ucd(one.ucd, check_controlled_vocabulary=True)


def test_a_parameter_and_its_spread() -> None:
    assert column("vel disp") == (
        *("vel_disp", "km/s", "phys.veloc.dispersion", "Estimate of vel disp, if the object is a lens"),
    )
    assert column("Rein_std") == (
        *("Rein_std", "arcsec", "stat.stdev;phys.angSize", "Sample standard deviation of Rein over members"),
    )
    assert column("sh_std").ucd == "stat.stdev"  # there is no word for shear


def test_a_calibrated_width_is_an_error() -> None:
    assert column("Rein_std", {"Rein": 1.2}).ucd == "stat.error;phys.angSize"
    assert column("Rein_std", {"Rein": 1.2}).says.startswith("Standard deviation of Rein, calibrated on")
    assert column("Rein", {"Rein": 1.2}) == column("Rein")
    assert column("sh_std", {"Rein": 1.2}) == column("sh_std")
    for name in LENS_PARAMETERS:
        assert check_ucd(column(f"{name}_std", LENS_PARAMETERS).ucd, check_controlled_vocabulary=True)


def test_names_are_different() -> None:
    assert len({column(name).name for name in NAMES}) == len(NAMES)


def test_others_are_an_error() -> None:
    with pytest.raises(KeyError):
        column("redshift")
