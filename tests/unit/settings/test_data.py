"""Settings of the data: the short and the long form are one, and what is not said is refused."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from stronglens.settings.data import (
    BUCKETS,
    DataSettings,
    PackSettings,
    SplitSettings,
    TestSetSettings,
    in_order,
    located,
)

SHORT = {"hsc_lenses": "/d/a", "slsim_nonlenses": "/d/b"}
LONG = {
    "hsc_lenses": {"path": "/d/a", "label": "lens", "domain": "hsc"},
    "slsim_nonlenses": {"path": "/d/b", "label": "nonlens", "domain": "slsim"},
}


def wrong(kind: type[Any], **settings: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(settings)
    return "; ".join(problem["msg"] for problem in caught.value.errors())


def test_a_path_is_short_for_a_bucket_of_the_challenge() -> None:
    short, long = (DataSettings.model_validate({"labelled": given}) for given in (SHORT, LONG))
    assert short == long
    # Written short, whichever way it was given: what is made of either is the same.
    assert short.model_dump(mode="json")["labelled"] == SHORT
    other = DataSettings.model_validate(
        {"labelled": LONG | {"hsc_lenses": LONG["hsc_lenses"] | {"fit": "crop"}}}
    )
    assert other.model_dump(mode="json")["labelled"]["hsc_lenses"] == LONG["hsc_lenses"] | {"fit": "crop"}
    assert DataSettings.model_validate(other.model_dump(mode="json")) == other


def test_a_block_of_the_challenge_needs_a_path_and_no_more() -> None:
    block = {"path": "/d/a", "fit": "crop"}
    found = DataSettings.model_validate({"labelled": SHORT | {"hsc_lenses": block}}).labelled["hsc_lenses"]
    assert (found.label, found.domain) == ("lens", "hsc")
    # What it says itself holds, in a key or in a column of its table.
    said = {"hsc_lenses": block | {"domain": "real"}, "slsim_nonlenses": SHORT["slsim_nonlenses"]}
    assert DataSettings.model_validate({"labelled": said}).labelled["hsc_lenses"].domain == "real"
    columns = {"columns": {"domain": "survey"}}
    for everywhere, own in (({}, columns), (columns, {})):
        said["hsc_lenses"] = block | own
        found = DataSettings.model_validate({"labelled": said, **everywhere}).labelled["hsc_lenses"]
        assert (found.label, found.domain) == ("lens", None)


def test_buckets_of_other_names_say_what_they_are() -> None:
    said = wrong(DataSettings, labelled={"arcs": "/d/a", **SHORT})
    assert "bucket arcs has no label and no domain, and is none of the challenge's names" in said
    assert "for example arcs: {path: /d/a, label: lens, domain: hsc}" in said
    arcs = {"path": "/d/a", "label": "lens"}
    assert "bucket arcs has no domain, and" in wrong(DataSettings, labelled={"arcs": arcs, **SHORT})
    # A column of a table may say it.
    columns = {"columns": {"domain": "survey"}}
    DataSettings.model_validate({"labelled": {"arcs": arcs | columns, **SHORT}})
    DataSettings.model_validate({"labelled": {"arcs": arcs, **SHORT}, **columns})


@pytest.mark.parametrize(("name", "absent"), [("hsc_lenses", "nonlens"), ("slsim_nonlenses", "lens")])
def test_both_labels_are_needed(name: str, absent: str) -> None:
    said = wrong(DataSettings, labelled={name: "/d"})
    assert f"expected buckets of lenses and of non-lenses, found none with label {absent}" in said


def test_order_is_that_of_the_challenge_then_of_names() -> None:
    given = {"zoo": "/z", "hsc_nonlenses": "/n", "arcs": "/a", "slsim_lenses": "/l"}
    settings = PackSettings.model_validate({"buckets": given})
    assert list(settings.sources) == ["slsim_lenses", "hsc_nonlenses", "arcs", "zoo"]
    assert settings.paths == ["/l", "/n", "/a", "/z"]
    assert in_order({}) == {}
    assert BUCKETS == ("slsim_lenses", "slsim_nonlenses", "hsc_lenses", "hsc_nonlenses")


def test_a_bucket_is_read_as_it_says_itself_then_as_the_set() -> None:
    buckets = {"a": {"path": "/a", "fit": "crop"}, "b": {"path": "/b"}}
    settings = PackSettings.model_validate({"buckets": buckets, "fit": "pad", "hdu": "SCI"})
    assert [(one.fit, one.hdu) for one in settings.sources.values()] == [("crop", "SCI"), ("pad", "SCI")]
    (place,) = PackSettings(path="/d", hdu=1).sources.items()
    assert (place[0], place[1].path, place[1].hdu) == ("", "/d", 1)


def test_lists_and_tables_are_read_at_every_start_and_archives_are_not() -> None:
    paths = ["/d/list.txt", "/d/a.TAR.GZ", "/d/table.csv", "/d/stack.h5", "/d/folder", "/d/x.parquet"]
    buckets = {f"b{number}": path for number, path in enumerate(paths)}
    settings = PackSettings.model_validate({"buckets": buckets})
    assert settings.list_paths == ["/d/list.txt", "/d/table.csv", "/d/folder"]


def test_paths_are_changed_wherever_they_are() -> None:
    def moved(path: str) -> str:
        return f"/new{path}"

    assert PackSettings(path="/d").with_paths(moved).paths == ["/new/d"]
    labelled = PackSettings.model_validate({"labelled": SHORT})
    assert labelled.with_paths(moved).paths == ["/new/d/b", "/new/d/a"]
    assert labelled.paths == ["/d/b", "/d/a"]
    assert labelled.with_paths(moved).sources["hsc_lenses"].label == "lens"


@pytest.mark.parametrize("given", [{}, {"path": "/d", "buckets": SHORT}, {"labelled": SHORT, "path": "/d"}])
def test_a_set_is_in_one_place(given: dict[str, Any]) -> None:
    assert "give exactly one of labelled, path and buckets" in wrong(PackSettings, **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give either path or buckets"),
        ({"path": "/d", "buckets": SHORT}, "give either path or buckets"),
        ({"path": "/d", "labelled": True}, "labelled is true, but only buckets carry labels"),
        ({"buckets": {"arcs": "/d"}, "labelled": True}, "bucket arcs has no label and no domain"),
    ],
)
def test_a_test_set_says_where_it_is(given: dict[str, Any], said: str) -> None:
    assert said in wrong(TestSetSettings, **given)


def test_a_test_set_is_packed_like_the_data_but_for_what_it_says() -> None:
    data = DataSettings.model_validate({"labelled": SHORT, "size_px": 33, "hdu": "SCI", "fit": "crop"})
    testset = TestSetSettings.model_validate({"path": "/t", "fit": "pad"})
    packed = PackSettings.of_testset("mine", testset, data)
    assert (packed.dataset, packed.path, packed.size_px, packed.labelled) == ("mine", "/t", 33, None)
    assert (packed.fit, packed.hdu) == ("pad", "SCI")
    scored = TestSetSettings.model_validate({"buckets": SHORT, "labelled": True})
    assert list(PackSettings.of_testset("mine", scored, data).labelled or {}) == list(SHORT)
    blind = TestSetSettings.model_validate({"buckets": SHORT})
    assert PackSettings.of_testset("mine", blind, data).labelled is None
    labelled = PackSettings.of_labelled(data)
    assert (labelled.dataset, labelled.size_px, list(labelled.sources)) == ("labelled", 33, list(SHORT)[::-1])


@pytest.mark.parametrize("bands", [["g", "g"], ["g-r"], [""], ["ä"]])
def test_bands_are_different_words(bands: list[str]) -> None:
    assert "bands must be different words of letters and digits" in wrong(
        PackSettings, path="/d", bands=bands
    )


def test_shares_of_a_split_make_one() -> None:
    assert "train + val + test must be 1, found 0.9" in wrong(SplitSettings, train=0.5, val=0.2, test=0.2)
    SplitSettings(train=0.1, val=0.2, test=0.7)  # not 1 to the last bit


def test_home_is_that_of_whoever_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert str(located("~/data")) == "/home/me/data"
    assert str(located("/d/~")) == "/d/~"
    assert PackSettings(path="~/data").paths == ["~/data"]


@pytest.mark.parametrize(
    ("bands", "line"),
    [
        (["grizy"], "bands: [g, r, i, z, y]; if one image in all of them is meant, in capitals: [GRIZY]"),
        (["griz", "y"], "bands: [g, r, i, z, y]"),
        ("grizy", "bands: [g, r, i, z, y]; if one"),
        ("g, r, i", "bands: [g, r, i]"),
        ("VIS", "bands: [VIS]"),
    ],
)
def test_several_bands_in_one_name_are_refused_with_the_line_to_write(bands: Any, line: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(f"found {bands!r}; write {line}")):
        PackSettings(path="set", bands=bands)


@pytest.mark.parametrize("bands", [["VIS"], ["g", "r", "riz"], ["GRIZ"], ["Ks", "J"], ["g"], ["f814w"]])
def test_names_of_one_band_are_taken_as_they_are(bands: list[str]) -> None:
    assert PackSettings(path="set", bands=bands).bands == bands
