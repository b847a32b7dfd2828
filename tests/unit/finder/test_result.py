"""What a finder says of objects: tables, parts, flags."""

import numpy as np

from stronglens.finder.result import Flag, Result, flags_of_bands, joined


def result(*probs: float, sky: bool = False, lens: bool = False) -> Result:
    prob = np.array(probs)
    n = len(prob)
    return Result(
        prob=prob,
        prob_std=prob / 10,
        pred=(prob >= 0.5).astype(np.int8),
        prob_raw=prob / 2,
        prob_sky=prob / 4 if sky else None,
        members=np.stack([prob, 1 - prob]),
        lens_parameters={"Rein": prob * 3, "Rein_std": prob * 0} if lens else {},
        n_cutouts=np.full(n, 5),
        flags=np.arange(n),
    )


def test_a_table_has_a_row_an_object() -> None:
    table = result(0.25, 0.75, sky=True, lens=True).table()
    assert list(table) == [
        *("prob", "prob_std", "pred", "prob_raw", "prob_sky", "Rein", "Rein_std", "n_cutouts", "flags")
    ]
    assert table["Rein"].tolist() == [0.75, 2.25]
    assert list(result(0.5).table()) == ["prob", "prob_std", "pred", "prob_raw", "n_cutouts", "flags"]


def test_parts_are_joined_in_their_order() -> None:
    for sky in (True, False):
        whole = joined([result(0.1, 0.9, sky=sky, lens=True), result(0.4, sky=sky, lens=True)])
        assert len(whole) == 3
        assert whole.prob.tolist() == [0.1, 0.9, 0.4]
        assert whole.members.tolist() == [[0.1, 0.9, 0.4], [0.9, 1 - 0.9, 0.6]]
        assert whole.lens_parameters["Rein"].tolist() == (np.array([0.1, 0.9, 0.4]) * 3).tolist()
        assert (whole.prob_sky is not None) == sky
        assert whole.flags.tolist() == [0, 1, 0]


def flags(bands_of_objects: list[str], members: list[str | list[str]]) -> list[int]:
    """Of objects with these bands, of which g, r and i are known; an `s` is an image of no stated band."""
    objects = np.array(
        [number for number, bands in enumerate(bands_of_objects) for _ in bands], dtype=np.int64
    )
    names = ["single" if band == "s" else band for bands in bands_of_objects for band in bands]
    found = flags_of_bands(
        objects, np.array(names, dtype=object), len(bands_of_objects), ["g", "r", "i"], members
    )
    return found.tolist()


def test_flags_say_what_is_missing() -> None:
    assert flags(["gri", "gr", "", "s"], ["each"]) == [
        *(0, Flag.MISSING_BAND, Flag.NO_CUTOUT | Flag.MISSING_BAND, 0)
    ]


def test_a_member_that_sees_none_of_its_bands_is_said() -> None:
    found = flags(["gri", "g", "i", "", "s"], ["each", ["g", "r"], ["r", "i"]])
    unseen = [bool(one & Flag.UNSEEN) for one in found]
    assert unseen == [False, True, True, False, True]


def test_flags_are_bits() -> None:
    assert sum(Flag) == 31
    assert [flag.value for flag in Flag] == [1, 2, 4, 8, 16]
