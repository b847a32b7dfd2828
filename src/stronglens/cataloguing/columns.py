"""What the columns of a catalogue mean: units, UCDs, descriptions."""

from collections.abc import Collection
from typing import NamedTuple

from stronglens.settings.lens_parameters import LENS_PARAMETERS, std_column


class Column(NamedTuple):
    """A column of a catalogue.

    Attributes
    ----------
    name : str
        In the files.
    unit : str
        As VOUnits write it; "" for a pure number or text.
    ucd : str
        Unified content descriptor (UCD1+); "" where the vocabulary has no word for it.
    says : str
        What it is.
    """

    name: str
    unit: str
    ucd: str
    says: str


_UCDS = {
    "Rein": "phys.angSize",
    "zlens": "src.redshift",
    "zsrc": "src.redshift",
    "vel disp": "phys.veloc.dispersion",
    "Reff_l": "phys.angSize",
    "Reff_s": "phys.angSize",
    **dict.fromkeys(["ell_l", "ell_m", "ell_s"], "src.ellipticity"),
    **{name: "phot.mag;em.opt" for name in LENS_PARAMETERS if name.startswith("mag_")},
}

_FIXED = {
    "id": Column("id", "", "meta.id;meta.main", "Name of the object, as in the submission"),
    "ra": Column("ra", "deg", "pos.eq.ra;meta.main", "Right ascension (ICRS)"),
    "dec": Column("dec", "deg", "pos.eq.dec;meta.main", "Declination (ICRS)"),
    "prob": Column("prob", "", "stat.probability", "Probability of being a lens"),
    "prob_std": Column(
        "prob_std", "", "stat.stdev;stat.probability", "Sample standard deviation of prob over members"
    ),
    "prob_sky": Column(
        "prob_sky", "", "stat.probability", "Calibrated probability for the fraction of lenses in the sky"
    ),
    "pred": Column("pred", "", "meta.code.class", "1 where prob >= t*, 0 below, -1 without a probability"),
    "known_lens": Column(
        "known_lens", "", "meta.id.cross", "Name of the nearest known lens within the radius"
    ),
    "flags": Column(
        "flags",
        "",
        "meta.code.qual",
        "Sum of: 1 no readable cutout, 2 a band is missing, 4 a file was rejected, 16 unseen by a member",
    ),
    "n_cutouts": Column("n_cutouts", "", "meta.number;obs.image", "Cutouts that any member looks at"),
}


def column(name: str, calibrated: Collection[str] = ()) -> Column:
    """What a column of `stronglens.cataloguing.test_set.TestSet.rows` means.

    Lens parameters have no blanks in their names here: query languages do not take them.

    Parameters
    ----------
    name : str
        The column.
    calibrated : collection of str
        Lens parameters whose `{name}_std` is a calibrated standard deviation, not the spread over members.
    """
    if name in _FIXED:
        return _FIXED[name]
    parameter = name.removesuffix(std_column(""))
    plain = name.replace(" ", "_")
    unit, ucd = LENS_PARAMETERS[parameter], _UCDS.get(parameter, "")
    if name == parameter:
        return Column(plain, unit, ucd, f"Estimate of {parameter}, if the object is a lens")
    if parameter in calibrated:
        error = f"stat.error;{ucd}" if ucd else "stat.error"
        says = f"Standard deviation of {parameter}, calibrated on validation lenses, if the object is a lens"
        return Column(plain, unit, error, says)
    spread = f"stat.stdev;{ucd}" if ucd else "stat.stdev"
    return Column(plain, unit, spread, f"Sample standard deviation of {parameter} over members")
