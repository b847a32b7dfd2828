"""Object and band of a file name, domain and label of a bucket."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stronglens.sources.names import NO_BAND, NameParser, NotACutout

BANDS = ["g", "r", "i", "z", "y"]
ENDINGS = [".fits", ".fit", ".fts", ".FITS", ".Fits.gz", ".fits.fz", ".fit.GZ", ".fits.bz2", ".fits.Z", ".fz"]
# Names of objects as a file system allows them; not ones that would be read as hidden.
STEMS = st.text(st.characters(exclude_characters="/\0"), min_size=1).filter(lambda text: text[0] != ".")


@pytest.mark.parametrize(
    ("name", "object_name", "band"),
    [
        ("D1_L_00000000_g.fits", "D1_L_00000000", "g"),
        ("D2_N_00025866_y.fits", "D2_N_00025866", "y"),
        ("object_00000_g.fits", "object_00000", "g"),
        ("OBJID_0001.fits", "OBJID_0001", NO_BAND),
        ("object.fits", "object", NO_BAND),
        ("object_00000_R.FITS", "object_00000", "r"),
        ("a.fits_b_z.fits.gz", "a.fits_b", "z"),
        ("_g.fits", "_g", NO_BAND),
        ("two words, 'quotes'\nand a line_i.fit", "two words, 'quotes'\nand a line", "i"),
    ],
)
def test_the_challenges_names_and_others(name: str, object_name: str, band: str) -> None:
    assert NameParser(BANDS).parse(name)[:3] == (object_name, band, "")


def test_a_bare_name_is_in_the_only_band() -> None:
    assert NameParser(["r"]).parse("OBJID_0001.fits") == ("OBJID_0001", "r", "", True)


def test_bands_that_differ_only_in_case_are_kept_apart() -> None:
    parser = NameParser(["y", "Y"])
    assert parser.parse("a_y.fits").band == "y"
    assert parser.parse("a_Y.fits").band == "Y"


@pytest.mark.parametrize(
    "name",
    [
        "_manifest.txt",
        ".DS_Store",
        "._D1_L_00000000_g.fits",
        "parameters.fits",
        "Parameters.FITS.gz",
        "x.fits.txt",
    ],
)
def test_leftovers_are_no_cutouts(name: str) -> None:
    with pytest.raises(NotACutout):
        NameParser(BANDS).parse(name)


@pytest.mark.parametrize("name", ["object_00000_u.fits", "object_00000_G.fits"])
def test_a_filter_that_is_not_configured_makes_no_object(name: str) -> None:
    with pytest.raises(NotACutout, match="not configured"):
        NameParser(["r"]).parse(name)


@given(STEMS, st.sampled_from(BANDS), st.sampled_from(ENDINGS))
def test_what_is_put_into_a_name_comes_out(stem: str, band: str, ending: str) -> None:
    assert NameParser(BANDS).parse(f"{stem}_{band}{ending}") == (stem, band, "", False)


@given(STEMS, st.sampled_from(ENDINGS))
def test_every_name_gives_one_object(stem: str, ending: str) -> None:
    try:
        name = NameParser(BANDS).parse(stem + ending)
    except NotACutout:
        assert stem.lower() == "parameters" or stem[-2:].lower() == "_u"
        return
    assert name.object
    assert name.band in {*BANDS, NO_BAND}
    suffix = "" if name.band == NO_BAND else f"_{name.band}"
    assert (name.object + suffix).lower() == stem.lower() or not stem.isascii()


@given(st.text(string.printable))
def test_any_text_is_a_cutout_or_is_not(text: str) -> None:
    try:
        assert NameParser(BANDS).parse(text).object
    except NotACutout as reason:
        assert str(reason)
