"""Reading a cutout: every form that is right, every way to be wrong, and two readers that agree."""

import bz2
import faulthandler
import gzip
import lzma
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from fits_files import CutoutReader, hdus_bytes, primary_bytes, table_bytes
from fits_forms import IMAGE, ORDINARY, OTHER, SIZE, image_column, other_column, read, reason, table
from stronglens.sources import fits_image
from stronglens.sources.fits_general import read_general
from stronglens.sources.fits_layout import find_layout
from stronglens.sources.rejected import Rejected


def test_the_id_is_read_without_blanks_and_nul(tmp_path: Path) -> None:
    assert read(table_bytes(IMAGE, "75339120850791805"), tmp_path)[1] == "75339120850791805"
    assert read(table_bytes(IMAGE, "  GG 1 \0\0junk"), tmp_path)[1] == "GG 1"
    assert read(table_bytes(IMAGE, "GG-7", id_column="Lens ID"), tmp_path)[1] == "GG-7"
    with_keyword = hdus_bytes(fits.PrimaryHDU(IMAGE, fits.Header({"OBJECT": "field 7", "OBJID": "17 "})))
    assert find_layout(with_keyword, SIZE) is not None
    assert read(with_keyword, tmp_path)[1] == "17"
    assert read(primary_bytes(IMAGE), tmp_path)[1] == ""


def test_one_reader_takes_files_of_many_layouts(tmp_path: Path) -> None:
    reader = CutoutReader(SIZE)
    for _ in range(2):
        for number, content in enumerate(ORDINARY.values()):
            path = tmp_path / str(number)
            path.write_bytes(content)
            np.testing.assert_array_equal(reader.read(str(path))[0], IMAGE.astype(np.float32))
    for number in range(300):  # each header differs: more of them than a reader remembers
        header = fits.Header({"OBJID": str(number)})
        path.write_bytes(hdus_bytes(fits.PrimaryHDU(IMAGE + number, header)))
        image, header_id, _ = reader.read(str(path))
        np.testing.assert_array_equal(image, (IMAGE + number).astype(np.float32))
        assert header_id == str(number)


def test_a_truncated_file_of_a_known_layout_is_rejected(tmp_path: Path) -> None:
    reader, path = CutoutReader(SIZE), tmp_path / "x.fits"
    for content in (ORDINARY["labelled"], ORDINARY["primary"]):
        path.write_bytes(content)
        reader.read(str(path))
        path.write_bytes(content[:-1])
        with pytest.raises(Rejected, match=rf"truncated \({len(content) - 1} of {len(content)} bytes\)"):
            reader.read(str(path))


# files that give no cutout


def with_pixel(value: float) -> npt.NDArray[np.float64]:
    image = IMAGE.copy()
    image[3, 4] = value
    return image


def declared_larger() -> bytes:
    return primary_bytes(IMAGE).replace(
        b"NAXIS2  =                   41", b"NAXIS2  =              9999999", 1
    )


BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty file"),
    "web page": (lambda: b"<html><body>502 Bad Gateway</body></html>", "not FITS (begins with b'<html>"),
    "pixels cut": (lambda: ORDINARY["labelled"][:10_760], "truncated (10760 of 20160 bytes)"),
    "header cut": (lambda: ORDINARY["labelled"][:4000], "truncated (4000 bytes"),
    "only an empty PRIMARY": (lambda: ORDINARY["labelled"][:2880], "no image"),
    "wrong shape in PRIMARY": (
        lambda: primary_bytes(IMAGE[:40, :40]),
        "wrong shape (expected 41 x 41, found 40 x 40)",
    ),
    "wrong shape in a table": (
        lambda: table_bytes(IMAGE[:40, :39]),
        "wrong shape (expected 41 x 41, found 40 x 39)",
    ),
    "a cube": (
        lambda: hdus_bytes(fits.PrimaryHDU(np.stack([IMAGE, IMAGE]))),
        "wrong shape (expected 41 x 41, found 2 x 41 x 41; band_axis says which axis of a cube ",
    ),
    "NaN": (lambda: table_bytes(with_pixel(np.nan)), "non-finite pixels (1)"),
    "infinity": (lambda: primary_bytes(with_pixel(-np.inf)), "non-finite pixels (1)"),
    "absurd value": (lambda: primary_bytes(with_pixel(1e30)), "absurd values (from "),
    "beyond float32": (lambda: table_bytes(with_pixel(-1e300)), "absurd values (from -1e+300"),
    "wrong byte order": (lambda: primary_bytes(IMAGE.byteswap()), "absurd values ("),
    "floats said to be integers": (
        lambda: primary_bytes(IMAGE).replace(
            b"BITPIX  =                  -64", b"BITPIX  =                   64"
        ),
        "absurd values (",
    ),
    "constant": (lambda: primary_bytes(np.full((SIZE, SIZE), 2.5)), "constant image (2.5 everywhere)"),
    "zeros": (lambda: table_bytes(np.zeros((SIZE, SIZE))), "constant image (0 everywhere)"),
    "table without an image": (lambda: table(other_column()), "no image"),
    "two images": (
        lambda: table(image_column("band_g"), image_column("band_r")),
        "several images (band_g, band_r)",
    ),
    "two nameless images": (lambda: table(image_column("a"), image_column("b")), "several images (a, b)"),
    "two rows": (lambda: table(image_column("band_g", n_rows=2)), "several images (2 rows)"),
    "complex": (
        lambda: table(fits.Column("image", "1681M", dim="(41,41)", array=IMAGE[None].astype(complex))),
        "wrong shape",
    ),
    "declared larger": (declared_larger, "truncated (17280 of "),
    "junk at the end": (lambda: ORDINARY["primary"] + b"junk", "inconsistent header (4 bytes"),
    "blocks of junk at the end": (lambda: ORDINARY["labelled"] + b"junk" * 720, "inconsistent header (2880"),
    "broken gzip": (lambda: gzip.compress(ORDINARY["primary"])[:-100], "unreadable (gzip: "),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_files_that_give_no_cutout_say_why(fault: str, tmp_path: Path) -> None:
    make, expected = BROKEN[fault]
    assert reason(make(), tmp_path).startswith(expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "write", [primary_bytes, table_bytes, lambda image: gzip.compress(primary_bytes(image))]
)
@pytest.mark.parametrize("general", [False, True])
def test_pixels_that_are_not_finite_can_be_filled(
    value: float,
    write: Callable[[npt.NDArray[np.float64]], bytes],
    general: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if general:
        monkeypatch.setattr(fits_image, "find_layout", lambda *_: None)
    image = IMAGE.copy()
    image[3, 4:9] = value
    path = tmp_path / "x.fits"
    path.write_bytes(write(image))
    found, _, n_filled = CutoutReader(SIZE, "fill").read(str(path))
    assert n_filled == 5
    expected = image.copy()
    expected[3, 4:9] = np.median(np.delete(image.ravel(), np.arange(3 * SIZE + 4, 3 * SIZE + 9)))
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    with pytest.raises(Rejected, match=r"non-finite pixels \(5\)"):
        CutoutReader(SIZE).read(str(path))


@pytest.mark.parametrize(
    ("n_bad", "rest", "expected"),
    [
        (SIZE * SIZE // 2, None, None),  # fewer than half
        (SIZE * SIZE // 2 + 1, None, "non-finite pixels (841)"),
        (SIZE * SIZE, None, "non-finite pixels (1681)"),
        (5, 2.5, "constant image (2.5 everywhere)"),
        (5, 1e30, "absurd values"),
    ],
)
def test_what_little_is_left_is_not_filled_up(
    n_bad: int, rest: float | None, expected: str | None, tmp_path: Path
) -> None:
    image = IMAGE.copy().ravel() if rest is None else np.full(SIZE * SIZE, rest)
    if rest == 1e30:
        image[-1] = 0
    image[:n_bad] = np.nan
    path = tmp_path / "x.fits"
    path.write_bytes(primary_bytes(image.reshape(SIZE, SIZE)))
    if expected is None:
        assert CutoutReader(SIZE, "fill").read(str(path))[2] == n_bad
        return
    with pytest.raises(Rejected) as caught:
        CutoutReader(SIZE, "fill").read(str(path))
    assert str(caught.value).startswith(expected)


def test_files_that_are_not_there_or_no_files(tmp_path: Path) -> None:
    reader = CutoutReader(SIZE)
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, expected in {
        "broken": "broken link",
        "gone": "removed while packing",
        "loop": "unreadable (Too many levels of symbolic links)",
        "folder": "unreadable (Is a directory)",
        "pipe": "empty file",
    }.items():
        with pytest.raises(Rejected) as caught:
            reader.read(str(tmp_path / name))
        assert str(caught.value) == expected
    with pytest.raises(Rejected, match="no regular file"):
        reader.read("/dev/zero")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    # Not by mode bits: the superuser may read everything.
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Rejected, match=r"unreadable \(Permission denied\)"):
        CutoutReader(SIZE).read(str(tmp_path / "x.fits"))


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    with path.open("wb") as file:
        file.write(ORDINARY["primary"])
        file.truncate(fits_image.LARGEST_FILE + 1)
    with pytest.raises(Rejected, match="too large"):
        CutoutReader(SIZE).read(str(path))
    bomb = gzip.compress(bytes(fits_image.LARGEST_FILE + 1), compresslevel=1)
    assert "too large" in reason(bomb, tmp_path)


# compressed as a whole


@pytest.mark.parametrize("module", [gzip, bz2, lzma])
def test_files_compressed_as_a_whole_are_read(module: Any, tmp_path: Path) -> None:
    for form in ("labelled", "primary"):
        content = module.compress(ORDINARY[form])
        np.testing.assert_array_equal(read(content, tmp_path)[0], IMAGE.astype(np.float32))
        assert reason(content[:-100], tmp_path).startswith("unreadable (")
    assert "too large" in reason(module.compress(bytes(fits_image.LARGEST_FILE + 1)), tmp_path)


@pytest.mark.parametrize(
    ("start", "program"), [(b"\x1f\x9d\x90", "compress"), (b"PK\3\4", "zip"), (b"\x28\xb5\x2f\xfd", "zstd")]
)
def test_files_that_cannot_be_unpacked_say_what_to_do(start: bytes, program: str, tmp_path: Path) -> None:
    assert reason(start + b"x" * 99, tmp_path).startswith(f"unreadable (compressed with {program}: unpack it")


@pytest.mark.parametrize("factor", [1e-15, 1e15])
def test_any_unit_of_pixels_is_read(factor: float, tmp_path: Path) -> None:
    np.testing.assert_allclose(read(primary_bytes(IMAGE * factor), tmp_path)[0], IMAGE * factor, rtol=1e-6)


# mutations


def mutate(content: bytes, n_header: int, generator: np.random.Generator) -> bytes:
    """Change a few bytes of the headers, or insert, remove or cut some anywhere."""
    mutated = bytearray(content)
    kind = generator.integers(5)
    if kind <= 2:
        # mostly characters that headers are made of, and mostly where something stands
        letters = b"0123456789-+.'TFADEIJKLMPQ= /" if kind else bytes(range(256))
        places = generator.integers(0, n_header, 60)
        chosen = [at for at in places if mutated[at] != 0x20 or generator.random() < 0.1]
        for at in chosen[: generator.integers(1, 4)]:
            mutated[at] = generator.choice(list(letters))
    elif kind == 3:
        at, n = generator.integers(0, len(content)), int(generator.integers(1, 3000))
        if generator.random() < 0.5:
            del mutated[at : at + n]
        else:
            mutated[at:at] = generator.bytes(n)
    else:
        del mutated[generator.integers(0, len(content)) :]
    return bytes(mutated)


LONGEST_S = 20
"""A file is read in some milliseconds; on a machine that is busy, in a second."""


@contextmanager
def no_hang() -> Iterator[None]:
    """End the tests where reading a file does not end, be it in C: no exception would reach it there."""
    faulthandler.dump_traceback_later(LONGEST_S, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def n_mutations(torture: bool) -> int:
    return 5000 if torture else 500


@pytest.mark.torture
@pytest.mark.parametrize(("form", "n_header"), [("labelled", 5760), ("primary", 2880)])
def test_mutated_files_give_the_right_image_or_a_rejection(
    form: str, n_header: int, n_mutations: int, tmp_path: Path
) -> None:
    generator = np.random.default_rng(5)
    right = IMAGE.astype(np.float32)
    n_read = n_rejected = 0
    for _ in range(n_mutations):
        content = mutate(ORDINARY[form], n_header, generator)
        try:
            with no_hang():
                image, _header_id = read(content, tmp_path)
        except Rejected:
            n_rejected += 1
            continue
        n_read += 1
        np.testing.assert_array_equal(image, right)
        np.testing.assert_array_equal(read_general(content, SIZE)[0].astype(np.float32), right)
    assert n_read > n_mutations // 20
    assert n_rejected > n_mutations // 3


@pytest.mark.torture
def test_mutated_pixels_and_compressed_files_never_crash(n_mutations: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(6)
    files = [gzip.compress(ORDINARY["labelled"]), OTHER["compressed image"][0](), ORDINARY["primary"]]
    n_read = 0
    for number in range(n_mutations):
        content = bytearray(files[number % len(files)])
        for at in generator.integers(0, len(content), 5):
            content[at] = generator.integers(256)
        try:
            with no_hang():
                image, _ = read(bytes(content), tmp_path)
        except Rejected:
            continue
        n_read += 1
        assert np.isfinite(image).all()
    # Else nothing was looked at.
    assert 0 < n_read < n_mutations
