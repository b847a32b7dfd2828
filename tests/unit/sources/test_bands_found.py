"""Which bands names state, and the line that is to be written where they state them otherwise."""

import pytest

from stronglens.running.errors import InputError
from stronglens.settings.data import PackSettings
from stronglens.settings.reading import ReadSettings
from stronglens.sources.bands_found import BandsFound, Counted, bands_of, line_for
from stronglens.sources.names import NameParser, UnknownBand
from stronglens.sources.protocol import Entry


def counted(names: list[str], bands: str = "gr", *, is_meant: bool = False) -> BandsFound:
    """What is found of these names."""
    settings = PackSettings(path="/d", bands=list(bands), dataset="mine")
    found, parser = BandsFound(settings), NameParser(list(bands))
    for name in names:
        try:
            found.count(parser.parse(name), Entry(f"/d/{name}", name), is_meant=is_meant)
        except UnknownBand as why:
            found.count_unknown(name, why)
    return found


def test_bands_are_those_of_the_config_and_none() -> None:
    assert bands_of(PackSettings(path="/d", bands=["r", "g"])) == ["r", "g", "single"]


def test_examples_are_the_first_ones() -> None:
    one = Counted()
    for number in range(30):
        one.add(str(number))
    assert (one.n, len(one.first), one.shown()) == (30, 10, "'0', '1', '2'")


def test_names_that_end_in_every_band_are_right() -> None:
    found = counted([f"obj{number}_{band}.fits" for number in range(3) for band in "gr"])
    found.refuse_unknown()
    found.refuse_missing()


def test_a_band_that_no_file_has_is_named() -> None:
    with pytest.raises(
        InputError,
        match=r"mine: expected files of each configured band \(g, r\), found none of r among 3; add",
    ):
        counted([f"obj{number}_g.fits" for number in range(3)]).refuse_missing()


def test_names_without_a_band_alone_are_single_cutouts() -> None:
    counted([f"galaxy{number:03d}x.fits" for number in range(5)]).refuse_missing()


def test_some_names_without_a_band_are_refused() -> None:
    names = ["a_g.fits", "a_r.fits", "b.fits"]
    with pytest.raises(InputError, match="found 1 of 3 that do not, such as 'b'"):
        counted(names).refuse_missing()


def test_names_of_another_band_are_refused_with_what_was_understood() -> None:
    with pytest.raises(InputError, match=r"found 2 of others, such as 'a_i\.fits', 'b_i\.fits'"):
        counted(["a_g.fits", "a_i.fits", "b_i.fits"]).refuse_unknown()


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (
            ["skycell.1.stk.g.unconv.fits", "skycell.1.stk.r.unconv.fits"],
            "write name_pattern: ps1, which reads",
        ),
        (
            ["1-cutout-HSC-G-9.fits", "1-cutout-HSC-R-9.fits"],
            "write name_pattern: hsc, which reads 1 in band g",
        ),
        (["obj1_g_sci.fits", "obj1_r_sci.fits"], "reads obj1 in band g"),
    ],
)
def test_the_line_that_reads_the_names_is_given(names: list[str], line: str) -> None:
    with pytest.raises(InputError, match="expected names that end in a configured band") as caught:
        counted(names).refuse_missing()
    assert line in str(caught.value)


def test_letters_that_differ_in_names_that_are_else_the_same_are_bands() -> None:
    with pytest.raises(InputError, match=r"in which a letter seems to be the band; .* reads obj0 in band g"):
        counted([f"obj{number}{band}.fits" for number in range(4) for band in "gr"]).refuse_missing()


def test_letters_are_no_bands_where_the_config_says_how_names_are_read() -> None:
    names = [f"obj{number}{band}.fits" for number in range(4) for band in "gr"]
    counted(names, is_meant=True).refuse_missing()


def test_folders_called_after_bands_are_named_with_the_line_to_write() -> None:
    names = [f"HSC-{band}/{number}.fits" for number in range(2) for band in "GR"]
    with pytest.raises(InputError, match=r"folders named after bands \(g, r\), .*'\(\?P<band>\[\^/\]\+\)/"):
        counted(names).refuse_missing()
    counted(names, is_meant=True).refuse_missing()
    counted([f"r/{number}.fits" for number in range(2)]).refuse_missing()  # by chance


def test_a_line_that_gives_two_files_one_name_is_not_proposed() -> None:
    names = [f"{name}/cutout-HSC-{band}-9813-pdr3_wide.fits" for name in "ab" for band in "GR"]
    line = line_for(names, ["g", "r"])
    assert line.endswith("which reads a in band g")
    parser = NameParser(["g", "r"], ReadSettings(name_pattern=line.split("'")[1]))
    assert [parser.parse(name)[:2] for name in names] == [(one, band) for one in "ab" for band in "gr"]
    assert line_for([names[0], names[0]], ["g", "r"]) == ""
