"""The files of a data set, whichever way it is given."""

import os
import re
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pytest

from stronglens.running.errors import InputError
from stronglens.settings.data import BUCKETS, PackSettings
from stronglens.sources.bands_found import bands_of
from stronglens.sources.find import find_cutouts, part_of

BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
NAMES = [f"object_{number:05d}_{band}.fits" for number in range(12) for band in "grizy"]


def fill(folder: Path, names: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def one(path: Path, bands: str = "grizy") -> PackSettings:
    return PackSettings(dataset="blind", path=str(path), bands=list(bands))


def four(folders: dict[str, Path]) -> PackSettings:
    return PackSettings(dataset="blind", buckets={b: str(p) for b, p in folders.items()})


def labelled(
    folder: Path, names: Callable[[str], list[str]] | None = None, bands: str = "gr"
) -> PackSettings:
    places = {}
    for bucket in BUCKETS:
        inner = [f"{bucket}_{number}_{band}.fits" for number in range(2) for band in "gr"]
        places[bucket] = str(fill(folder / bucket, names(bucket) if names else inner))
    return PackSettings(labelled=places, bands=list(bands))


def write_list(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


# the same set, given in every way


def as_folder(data: Path, _: Path) -> PackSettings:
    return one(data)


def as_link_to_the_folder(data: Path, work: Path) -> PackSettings:
    (work / "link").symlink_to(data)
    return one(work / "link")


def as_folder_one_level_down(data: Path, work: Path) -> PackSettings:
    (work / "outer").mkdir()
    (work / "outer" / "inner").symlink_to(data)
    return one(work / "outer")


def as_list(data: Path, work: Path) -> PackSettings:
    return one(write_list(work / "list.txt", [str(data / name) for name in reversed(NAMES)]))


def as_list_of_relative_paths(data: Path, work: Path) -> PackSettings:
    lines = [os.path.relpath(data / name, work) for name in NAMES]
    return one(write_list(work / "list.txt", [*lines, "", *lines]))


def as_four_folders_of_links(data: Path, work: Path) -> PackSettings:
    folders = {bucket: fill(work / bucket, []) for bucket in BUCKETS}
    for name in NAMES:
        bucket = BUCKETS[blake2b(name.encode()).digest()[0] % 4]
        (folders[bucket] / name).symlink_to(data / name)
    return four(folders)


def as_four_folders_that_hold_everything(data: Path, work: Path) -> PackSettings:
    folders = {bucket: fill(work / bucket, []) for bucket in BUCKETS}
    for folder in folders.values():
        for name in NAMES:
            (folder / name).symlink_to(os.path.relpath(data / name, folder))
    return four(folders)


def as_four_lists_of_links_to_links(data: Path, work: Path) -> PackSettings:
    first, second = fill(work / "first", []), fill(work / "second", [])
    for name in NAMES:
        (first / name).symlink_to(data / name)
        (second / name).symlink_to(f"../first/{name}")
    lists = {}
    for number, bucket in enumerate(BUCKETS):
        lists[bucket] = write_list(work / bucket, [f"second/{name}" for name in NAMES[number::4]])
    return four(lists)


WAYS = [
    as_folder,
    as_link_to_the_folder,
    as_folder_one_level_down,
    as_list,
    as_list_of_relative_paths,
    as_four_folders_of_links,
    as_four_folders_that_hold_everything,
    as_four_lists_of_links_to_links,
]


@pytest.mark.parametrize("way", WAYS)
def test_a_set_is_the_same_whichever_way_it_is_given(
    way: Callable[[Path, Path], PackSettings], tmp_path: Path
) -> None:
    data, work = fill(tmp_path / "data", NAMES), fill(tmp_path / "work", [])
    found = find_cutouts(way(data, work))
    assert [Path(file.path).name for file in found.files] == NAMES
    assert [file.path for file in found.files] == [str(data / name) for name in NAMES]
    assert [(file.object, file.band) for file in found.files[:6]] == [
        *(("object_00000", band) for band in range(5)),
        ("object_00001", 0),
    ]


def test_files_that_a_content_store_keeps_bear_the_name_of_the_link(tmp_path: Path) -> None:
    store, data, work = (fill(tmp_path / name, []) for name in ("store", "data", "work"))
    for name in NAMES:
        key = f"SHA256-{blake2b(name.encode()).hexdigest()}"
        (store / key).write_bytes(name.encode())
        (data / name).symlink_to(store / key)
        (work / name).symlink_to(data / name)
    found = find_cutouts(one(work))
    assert [file.path for file in found.files] == [str(data / name) for name in NAMES]
    assert {Path(file.real_path).parent for file in found.files} == {store}


def test_two_names_for_one_file_are_two_objects(tmp_path: Path) -> None:
    fill(tmp_path, ["a_g.fits"])
    (tmp_path / "b_g.fits").symlink_to("a_g.fits")
    assert [file.object for file in find_cutouts(one(tmp_path, "g")).files] == ["a", "b"]


def test_names_of_all_kinds(tmp_path: Path) -> None:
    names = [
        "with space_g.fits",
        'it\'s "quoted"_g.fits',
        "ünï_g.fits",
        "new\nline_g.fits",
        "$(touch x)_g.fits",
    ]
    found = find_cutouts(one(fill(tmp_path, names), "g"))
    assert {Path(file.path).name for file in found.files} == set(names)


# labelled sets


def test_labelled_objects_are_named_by_bucket_and_come_in_its_order(tmp_path: Path) -> None:
    settings = labelled(tmp_path)
    found = find_cutouts(settings)
    assert [file.bucket for file in found.files] == sorted(file.bucket for file in found.files)
    assert found.files[0].object == "slsim_lenses/slsim_lenses_0"
    assert [bands_of(settings)[file.band] for file in found.files[:4]] == ["g", "r", "g", "r"]


def test_the_same_name_in_two_buckets_is_two_objects(tmp_path: Path) -> None:
    found = find_cutouts(labelled(tmp_path, lambda _: ["object_0_g.fits"], "g"))
    assert [file.object for file in found.files] == [f"{bucket}/object_0" for bucket in BUCKETS]


def test_flat_nested_and_mixed_buckets(tmp_path: Path) -> None:
    settings = labelled(tmp_path)
    fill(tmp_path / "hsc_lenses" / "hsc_lenses", ["nested_0_g.fits"])
    found = find_cutouts(settings)
    assert "hsc_lenses/nested_0" in [file.object for file in found.files]
    assert len(found.files) == 17
    assert found.folders[2] == [str(tmp_path / "hsc_lenses"), str(tmp_path / "hsc_lenses" / "hsc_lenses")]


def test_a_file_in_two_buckets_is_an_error_that_names_both(tmp_path: Path) -> None:
    settings = labelled(tmp_path)
    link = tmp_path / "hsc_nonlenses" / "other_name_g.fits"
    link.symlink_to(tmp_path / "slsim_lenses" / "slsim_lenses_0_g.fits")
    with pytest.raises(InputError, match=r"in slsim_lenses and .*in hsc_nonlenses"):
        find_cutouts(settings)


def test_an_empty_bucket_is_an_error_that_says_what_lies_there(tmp_path: Path) -> None:
    settings = labelled(tmp_path, lambda bucket: [] if bucket == "hsc_lenses" else ["a_g.fits"])
    with pytest.raises(InputError, match=r"hsc_lenses: expected FITS cutouts.*found nothing"):
        find_cutouts(settings)
    fill(tmp_path / "hsc_lenses", ["_manifest.txt"])
    with pytest.raises(InputError, match=r"found 1 other files, '.*_manifest.txt' first"):
        find_cutouts(settings)


# what is wrong with a source


def test_a_missing_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: expected a folder of FITS files or a list file"):
        find_cutouts(one(tmp_path / "nowhere"))


def test_an_empty_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected FITS cutouts"):
        find_cutouts(one(tmp_path))
    with pytest.raises(InputError, match="expected FITS cutouts"):
        find_cutouts(four(dict.fromkeys(BUCKETS, tmp_path)))


def test_three_of_four_folders_of_a_blind_set_may_be_empty(tmp_path: Path) -> None:
    folders = {bucket: fill(tmp_path / bucket, []) for bucket in BUCKETS}
    fill(folders["hsc_lenses"], NAMES)
    assert len(find_cutouts(four(folders)).files) == len(NAMES)


def test_lines_that_name_no_file(tmp_path: Path) -> None:
    fill(tmp_path, NAMES)
    lines = [*NAMES, *(f"gone_{number}_g.fits" for number in range(12))]
    with pytest.raises(InputError) as caught:
        find_cutouts(one(write_list(tmp_path / "list.txt", lines)))
    message = str(caught.value)
    assert "list.txt: expected a file in every line, found 12 that name none" in message
    assert "line 61: " in message
    assert "gone_9_g.fits" in message
    assert "gone_10_g.fits" not in message
    assert message.endswith("and 2 more")


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"SIMPLE  =\xff\xfe")
    with pytest.raises(InputError, match="expected a list file"):
        find_cutouts(one(tmp_path / "list"))


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n", "\t\n", " \t \r\n", "\n\n", "\n  \n# a_g.fits\n"])
@pytest.mark.parametrize("start", ["", "  ", "\t", BYTE_ORDER_MARK])
def test_blanks_line_ends_and_comments_of_a_list_lose_no_file(start: str, end: str, tmp_path: Path) -> None:
    fill(tmp_path, NAMES)
    lines = [
        start.replace(BYTE_ORDER_MARK, "" if number else BYTE_ORDER_MARK) + n
        for number, n in enumerate(NAMES)
    ]
    (tmp_path / "list").write_bytes((end.join(lines) + end).encode())
    found = find_cutouts(one(tmp_path / "list"))
    assert [Path(file.path).name for file in found.files] == NAMES
    assert found.leftovers == []


def test_a_file_whose_name_begins_like_a_comment_is_no_comment(tmp_path: Path) -> None:
    fill(tmp_path, ["#1_g.fits"])
    (tmp_path / "list").write_text("#1_g.fits\n#2_g.fits\n", encoding="utf-8")
    assert [file.object for file in find_cutouts(one(tmp_path / "list", "g")).files] == ["#1"]


@pytest.mark.parametrize("rest", [" 1", "\tlens", ",0", ";", " # good", " a_g.fits", "\0", "\r" + NAMES[1]])
def test_a_line_with_more_than_a_path_is_an_error_that_names_it(rest: str, tmp_path: Path) -> None:
    fill(tmp_path, NAMES)
    for number in (0, 7, len(NAMES) - 1):
        lines = [*NAMES]
        lines[number] += rest
        with pytest.raises(InputError, match=rf"list\.txt: expected .*(line {number + 1}: |null)"):
            find_cutouts(one(write_list(tmp_path / "list.txt", lines)))


@pytest.mark.parametrize("name", ["a_g.png", "a_g.fits.txt", "_manifest.txt", "a_g"])
@pytest.mark.parametrize("n_parts", [1, 3])
def test_a_line_that_names_no_cutout_is_an_error_that_names_it(
    name: str, n_parts: int, tmp_path: Path
) -> None:
    fill(tmp_path, [*NAMES, name])
    source = write_list(tmp_path / "list.txt", [*NAMES, name])
    for part in range(n_parts):
        with pytest.raises(InputError, match=rf"FITS cutout in every line, found 1 that .*line 61: .*{name}"):
            find_cutouts(one(source), part, n_parts)


def test_a_list_of_all_that_a_folder_holds_may_name_what_lies_beside_cutouts(tmp_path: Path) -> None:
    names = [*NAMES, "parameters.fits", ".DS_Store"]
    fill(tmp_path, names)
    found = find_cutouts(one(write_list(tmp_path / "list.txt", names)))
    assert (len(found.files), len(found.leftovers)) == (len(NAMES), 2)


@pytest.mark.parametrize("ending", ["gz", "fz", "bz2", "xz", "Z", "zip", "zst"])
def test_a_compressed_file_is_a_cutout_whatever_compressed_it(ending: str, tmp_path: Path) -> None:
    names = [f"{name}.{ending}" for name in NAMES]
    fill(tmp_path / "data", names)
    for source in (tmp_path / "data", write_list(tmp_path / "list.txt", [f"data/{name}" for name in names])):
        found = find_cutouts(one(source))
        assert [Path(file.path).name for file in found.files] == names
        assert found.leftovers == []


# bands


FORMS_OF_SURVEYS = [
    "obj{}_{}_sci",
    "cutout-HSC-{1}-{0}",
    "skycell.{}.stk.{}.unconv",
    "image{}SDSS_{}-1",
    "{1}_obj{0}",
    "J{}_f{}.{}.x",
    "{0}_{1}-band",
    "{0}_{1}band",
    "{0}.{1}",
]


@pytest.mark.parametrize("form", FORMS_OF_SURVEYS)
@pytest.mark.parametrize("upper", [False, True])
def test_names_that_state_a_band_elsewhere_are_refused(form: str, upper: bool, tmp_path: Path) -> None:
    bands = "GRIZY" if upper else "grizy"
    names = [form.format(number, band, band) + ".fits" for number in range(4) for band in bands]
    message = (
        r"blind: expected names that end in a configured band \(g, r, i, z, y\).*found 20 of 20 that do not"
    )
    with pytest.raises(InputError, match=message) as caught:
        find_cutouts(one(fill(tmp_path, names)))
    assert sum(repr(name.removesuffix(".fits")) in str(caught.value) for name in names) == 3


@pytest.mark.parametrize(
    ("names", "bands", "line"),
    [
        ([f"obj{n}{b}.fits" for n in range(4) for b in "grizy"], "grizy", "reads obj. in band"),
        ([f"obj{n}{b.upper()}.fits.gz" for n in range(4) for b in "gr"], "gri", "reads obj. in band"),
        ([f"D{n}i.fits" for n in range(1000, 1004)], "gri", "reads D100. in band i"),
        ([f"cutout{b}_{n}.fits" for n in (12, 345) for b in "gri"], "gri", "reads _(12|345) in band"),
        ([f"{b}img{n}.fits" for n in range(9) for b in "gr"], "gr", "reads img. in band"),
        ([f"D{n}i.fits" for n in range(1000, 1004)], "g", "name_pattern"),
        ([f"obj{n}{b}.fits" for n in range(4) for b in "gr"], "r", "name_pattern"),
    ],
)
@pytest.mark.parametrize("as_lines", [False, True])
def test_bands_that_are_no_word_of_their_own_make_no_objects(
    names: list[str], bands: str, line: str, as_lines: bool, tmp_path: Path
) -> None:
    source = fill(tmp_path / "data", names)
    if as_lines:
        source = write_list(tmp_path / "list.txt", [str(source / name) for name in names])
    with pytest.raises(InputError, match="in which a letter seems to be the band") as caught:
        find_cutouts(one(source, bands))
    assert re.search(line, str(caught.value))
    assert f"found {len(names)} that do not" in str(caught.value)


def test_names_that_are_alike_by_chance_or_meant_so_are_objects(tmp_path: Path) -> None:
    names = [*(f"SN{year}{letter}.fits" for year in range(1990, 2012) for letter in "ab"), "SN1998g.fits"]
    assert len(find_cutouts(one(fill(tmp_path / "few", [*names, "SN1998i.fits"]))).files) == 46
    alike = one(fill(tmp_path / "all", ["field1g.fits", "field1r.fits"]))
    meant = alike.model_copy(update={"name_pattern": "(?P<object>.+)"})
    assert [file.object for file in find_cutouts(meant).files] == ["field1g", "field1r"]


@pytest.mark.parametrize("ending", ["_VIS", "_g_sci", "-HSC-G-1", "_F814W", "_err", ""])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_bare_names_among_names_with_a_band_are_refused(ending: str, part: int, tmp_path: Path) -> None:
    names = [f"object_{number:05d}{ending}.fits" for number in range(4)]
    with pytest.raises(
        InputError, match=r"found 4 of 64 that do not, such as '.*', '.*', '.*' [(]the whole name"
    ):
        find_cutouts(one(fill(tmp_path, [*NAMES, *names])), part, 3)


def test_bare_names_in_one_bucket_are_refused(tmp_path: Path) -> None:
    settings = labelled(tmp_path, lambda b: ["a.fits"] if b == "hsc_lenses" else ["a_g.fits", "a_r.fits"])
    with pytest.raises(InputError, match=r"labelled: expected names .* found 1 of 7 .*such as 'a'"):
        find_cutouts(settings)


def test_a_set_of_bare_names_alone_is_one_of_single_cutouts(tmp_path: Path) -> None:
    fill(tmp_path, [f"OBJID_{number:04d}.fits" for number in range(5)])
    settings = one(tmp_path)
    assert {bands_of(settings)[file.band] for file in find_cutouts(settings).files} == {"single"}


def test_the_only_band_is_not_taken_for_another_that_a_name_states(tmp_path: Path) -> None:
    fill(tmp_path, [f"obj1_{band}_sci.fits" for band in "gr"])
    with pytest.raises(InputError, match=r"bands alone \(r\), found 1 of others, such as 'obj1_g_sci.fits'"):
        find_cutouts(one(tmp_path, "r"))
    (tmp_path / "obj1_g_sci.fits").unlink()
    assert [file.object for file in find_cutouts(one(tmp_path, "r")).files] == ["obj1_r_sci"]


@pytest.mark.parametrize("n_parts", [1, 3])
@pytest.mark.parametrize("as_lines", [False, True])
def test_files_of_a_band_that_is_not_configured_are_an_error(
    n_parts: int, as_lines: bool, tmp_path: Path
) -> None:
    source = fill(tmp_path / "data", [*NAMES, "object_00000_u.fits", "object_00001_U.fits.fz"])
    if as_lines:
        source = write_list(tmp_path / "list.txt", [str(path) for path in sorted(source.iterdir())])
    for part in range(n_parts):
        with pytest.raises(InputError, match=r"files of the configured bands alone .*found 2"):
            find_cutouts(one(source), part, n_parts)
    with pytest.raises(InputError, match=r"found 14 of others, such as 'object_0000._.\.fits"):
        find_cutouts(one(source, "griz"))


@pytest.mark.parametrize("n_parts", [1, 3])
def test_a_configured_band_that_no_file_has_is_an_error(n_parts: int, tmp_path: Path) -> None:
    fill(tmp_path, [name for name in NAMES if not name.endswith(("_i.fits", "_y.fits"))])
    for part in range(n_parts):
        with pytest.raises(InputError, match=r"each configured band \(.*\), found none of i, y among 36"):
            find_cutouts(one(tmp_path), part, n_parts)
    assert len(find_cutouts(one(tmp_path, "grz")).files) == 36


def test_two_files_for_one_band_of_an_object(tmp_path: Path) -> None:
    fill(tmp_path, NAMES)
    fill(tmp_path / "again", NAMES[:1])
    with pytest.raises(InputError) as caught:
        find_cutouts(one(tmp_path))
    assert str(tmp_path / NAMES[0]) in str(caught.value)
    assert str(tmp_path / "again" / NAMES[0]) in str(caught.value)


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="Permission denied"):
        find_cutouts(one(tmp_path))


# leftovers, odd entries, parts


def test_leftovers_are_listed_with_reasons(tmp_path: Path) -> None:
    fill(tmp_path, [*NAMES, "_manifest.txt", ".DS_Store", "parameters.fits"])
    fill(tmp_path / "one" / "two", ["deep_g.fits"])
    fill(tmp_path / ".hidden", ["hidden_g.fits"])
    with pytest.raises(InputError, match=r"two/: expected FITS files at most one folder deep, found 'deep_g"):
        find_cutouts(one(tmp_path))
    found = find_cutouts(one(tmp_path).model_copy(update={"max_depth": 1}))
    assert len(found.files) == len(NAMES)
    reasons = {left.path.removeprefix(f"{tmp_path}/"): left.reason for left in found.leftovers}
    assert set(reasons) == {
        "_manifest.txt",
        ".DS_Store",
        "parameters.fits",
        "one/two/",
        ".hidden/",
    }
    assert reasons["parameters.fits"] == "table of parameters"


def test_broken_links_are_found_and_left_to_the_reader(tmp_path: Path) -> None:
    fill(tmp_path, NAMES)
    (tmp_path / "broken_g.fits").symlink_to("nowhere")
    (tmp_path / "loop_g.fits").symlink_to("loop_g.fits")
    objects = {file.object for file in find_cutouts(one(tmp_path)).files}
    assert {"broken", "loop"} < objects


def test_a_folder_that_links_to_itself(tmp_path: Path) -> None:
    fill(tmp_path, NAMES)
    (tmp_path / "again").symlink_to(".")
    found = find_cutouts(one(tmp_path))
    assert [file.path for file in found.files] == [str(tmp_path / name) for name in NAMES]
    assert found.n_repeated == len(NAMES)


def test_a_hundred_thousand_files_in_one_folder(tmp_path: Path) -> None:
    for number in range(20_000):
        for band in "grizy":
            os.mknod(tmp_path / f"object_{number:05d}_{band}.fits")
    start = time.process_time()
    found = find_cutouts(PackSettings(path=str(tmp_path)))
    assert time.process_time() - start < 20  # 0.5 s
    assert len(found.files) == 100_000
    assert [file.object for file in found.files[:6]] == ["object_00000"] * 5 + ["object_00001"]


def test_parts_make_the_whole_and_keep_bands_together(tmp_path: Path) -> None:
    fill(tmp_path, [*NAMES, ".DS_Store"])
    whole = find_cutouts(one(tmp_path))
    parts = [find_cutouts(one(tmp_path), part, 3) for part in range(3)]
    assert sorted(file for part in parts for file in part.files) == whole.files
    for number, part in enumerate(parts):
        assert part.files
        assert {part_of(file.object, 3) for file in part.files} == {number}
    assert [len(part.leftovers) for part in parts] == [1, 0, 0]
