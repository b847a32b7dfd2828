"""Reading an image from any FITS file, with astropy: slow, and at home with all that the standard allows.

astropy finds the HDUs and unpacks compressed images. What stored numbers mean (BLANK, TNULL, scales, arrays
of variable length) and whether checksums match is judged here: astropy 8.0 ignores `BLANK = 0`, BLANK of
unsigned integers, and TNULL in columns of arrays.

Source: FITS Standard 4.0, sections 4.4.2 (BSCALE, BZERO, BLANK, checksums), 7.3 (binary tables), appendix J.
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stronglens.settings.reading import Hdu, ReadSettings
from stronglens.sources.fits_layout import BLOCK, CARD
from stronglens.sources.fitting import Fit
from stronglens.sources.image_choice import (
    ID_KEYWORDS,
    Column,
    choose_hdu,
    choose_id,
    choose_image,
    clean_id,
    has_size,
    id_text,
    wrong_shape,
)
from stronglens.sources.rejected import Rejected

_ELEMENTS = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_FORMAT = re.compile(r"[0-9]*([PQ]?)([A-Z])")
_FILTERS = "ugrizyjhk"
_AS_THE_CHALLENGE = ReadSettings()
_CHECKSUMS = re.compile(rb"(CHECKSUM|DATASUM )= *(?:'([^']*)'|([0-9]+))")


_Read = Callable[[], tuple[npt.NDArray[np.float64], str]]


class _Image(NamedTuple):
    """An HDU that holds an image, or tries to.

    Attributes
    ----------
    name : str
        Its EXTNAME, or "".
    number : int
        Its number in the file; PRIMARY is 0.
    header : Header
        Its header.
    read : callable, or Rejected
        Gives pixels and id; or why it can not.
    """

    name: str
    number: int
    header: Any
    read: _Read | Rejected

    @property
    def title(self) -> str:
        """What to call it in a message."""
        return f"HDU {self.number} {self.name}".rstrip()


def read_general(
    content: bytes, size_px: int, settings: ReadSettings = _AS_THE_CHALLENGE, band: str = "", plane: int = 0
) -> tuple[npt.NDArray[np.float64], str, dict[str, Any]]:
    """Read the image of a FITS file, from an image or from a table of one row.

    Parameters
    ----------
    content : bytes
        A whole file.
    size_px : int
        Side of the cutout in pixels.
    settings : ReadSettings
        Which HDU and which axis it is in, whether other sizes fit, and what masks it.
    band : str
        For settings by band.
    plane : int
        Number of the band along `band_axis`.

    Returns
    -------
    image : ndarray of float64, shape (height, width)
        Axes (y, x); scaled as the header says, NaN where it (BLANK, TNULL) or the mask says that the value
        is undefined. May hold NaN and infinities.
    header_id : str
        The object's id in the file, or "".
    header : dict
        Values by keyword of the image's HDU and, for what it does not state, of PRIMARY.

    Raises
    ------
    Rejected
        The file holds no such image, or several of which not one alone has the name SCI or IMAGE; or it is
        broken, or not what its checksums say.
    """
    from astropy.io import fits  # noqa: PLC0415 - only the unusual file needs it, and it takes long to load

    if not content.startswith(b"SIMPLE"):
        raise Rejected("not FITS", f"begins with {content[:16]!r}")
    with warnings.catch_warnings():
        # What astropy mends with a warning is checked here, or is harmless.
        warnings.simplefilter("ignore")
        try:
            with fits.open(io.BytesIO(content), memmap=False, do_not_scale_image_data=True) as hdus:
                return _read_image(hdus, content, _Wanted(size_px, settings, band, plane))
        except Rejected:
            raise
        except Exception as error:  # a broken file can break a parser in any way
            raise Rejected("unreadable", f"{type(error).__name__}: {error}".splitlines()[0][:200]) from error


class _Wanted(NamedTuple):
    """What is looked for in a file; see `read_general`."""

    size_px: int
    settings: ReadSettings
    band: str
    plane: int

    @property
    def fit(self) -> Fit:
        return self.settings.fit or "refuse"

    def of_band(self, hdu: Hdu | dict[str, Hdu] | None) -> Hdu | None:
        return hdu.get(self.band) if isinstance(hdu, dict) else hdu

    def image_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the one band of an image that is wanted, of images with a band axis."""
        axis = self.settings.band_axis
        if axis is None:
            return shape
        n_bands = len(self.settings.axis_bands or ())
        if len(shape) != 3 or (n_bands and shape[axis] != n_bands) or self.plane >= shape[axis]:
            found = " x ".join(map(str, shape))
            raise Rejected(
                "wrong shape",
                f"expected {n_bands} bands along axis {axis} of three, found {found}; axis_bands lists all "
                "bands of a file, in its order",
            )
        return tuple(np.delete(shape, axis).tolist())

    def refuse_other_bands(self, header: Mapping[str, Any]) -> None:
        """Refuse a cube whose header lists its bands otherwise than the config, as Legacy Surveys' do."""
        bands = "".join(self.settings.axis_bands or ())
        stated = "".join(str(header.get(f"BAND{number}", "")).strip() for number in range(len(bands)))
        stated = str(header.get("BANDS", "")).strip() or stated
        # Where both are letters of filters, in whichever case, there is no doubt what they mean.
        if (
            self.settings.band_axis is not None
            and {*bands.lower(), *stated.lower()} <= set(_FILTERS)
            and len(bands) == len(self.settings.axis_bands or ()) == len(stated)
            and bands.lower() != stated.lower()
        ):
            raise Rejected(
                "bands in another order",
                f"expected {bands} along axis {self.settings.band_axis}, found {stated} in the header; write "
                f"axis_bands: [{', '.join(stated)}]",
            )

    def one_band(self, image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        axis = self.settings.band_axis
        return image if axis is None else np.take(image, [self.plane], axis).squeeze(axis)


def _read_image(
    hdus: Any, content: bytes, wanted: _Wanted
) -> tuple[npt.NDArray[np.float64], str, dict[str, Any]]:
    images: list[_Image] = []
    mask = wanted.of_band(wanted.settings.mask_hdu)
    end = 0
    for number, hdu in enumerate(hdus):
        name = str(hdu.header.get("EXTNAME", "")).strip()
        is_mask = mask is not None and _is(mask, number, name)
        end = _end_of(hdu, content)
        _refuse_changed(hdu, content, f"HDU {number} {name}".rstrip())
        try:
            read = None if is_mask else _image_in(hdu, content, wanted)
        except Rejected as why:
            images.append(_Image(name, number, hdu.header, why))
        else:
            images += [_Image(name, number, hdu.header, read)] if read is not None else []
    if content.startswith(b"XTENSION", end):
        raise Rejected("truncated", f"{len(content)} bytes, in the header of HDU {len(hdus)}")
    chosen = _chosen(images, wanted)
    if isinstance(chosen.read, Rejected):
        raise chosen.read
    wanted.refuse_other_bands(chosen.header)
    stored, header_id = chosen.read()
    image = wanted.one_band(stored)
    _mask(image, hdus, wanted)
    header = dict(hdus[0].header) | dict(chosen.header)
    return image, header_id or _id_in(hdus[0].header), header


def _chosen(images: Sequence[_Image], wanted: _Wanted) -> _Image:
    asked = wanted.of_band(wanted.settings.hdu)
    if asked is not None:
        found = [image for image in images if _is(asked, image.number, image.name)]
        if not found:
            there = ", ".join(image.title for image in images) or "none"
            raise Rejected("no image", f"no HDU {asked}; images in {there}")
        if len(found) > 1:
            raise Rejected("several images", ", ".join(image.title for image in found))
        return found[0]
    number = choose_hdu(
        [image.name for image in images],
        [image.title for image in images],
        [not isinstance(image.read, Rejected) for image in images],
    )
    if number is None:
        raise Rejected("no image")
    return images[number]


def _is(asked: Hdu, number: int, name: str) -> bool:
    return number == asked if isinstance(asked, int) else name.lower() == asked.lower()


def _mask(image: npt.NDArray[np.float64], hdus: Any, wanted: _Wanted) -> None:
    """Undefine pixels that the mask of the file marks."""
    asked = wanted.of_band(wanted.settings.mask_hdu)
    if asked is None:
        return
    masks = [
        hdu
        for number, hdu in enumerate(hdus)
        if hdu.is_image and _is(asked, number, str(hdu.header.get("EXTNAME", "")).strip())
    ]
    if len(masks) != 1 or masks[0].header["NAXIS"] == 0:
        raise Rejected("no mask", f"expected one HDU {asked}, found {len(masks)}")
    refuse_marked_objects(masks[0].header, wanted.settings)
    blanks, scale, zero = meaning_of(masks[0])
    stored = np.asarray(masks[0].data)
    is_whole = stored.dtype.kind in "iu" and scale == 1 and zero.is_integer()
    mask: npt.NDArray[Any] = (
        whole_numbers(stored, zero) if is_whole else physical(stored, blanks, scale, zero)
    )
    if mask.ndim == 3 and wanted.settings.band_axis is not None:
        mask = mask.take(wanted.plane, wanted.settings.band_axis)
    undefine(image, mask, wanted.settings)


def whole_numbers(stored: npt.NDArray[Any], zero: float) -> npt.NDArray[np.int64]:
    """Integers from stored numbers, those of unsigned integers too, which are stored less an offset."""
    values = stored.astype(np.int64).astype(np.uint64)
    return (values + np.uint64(int(zero) % 2**64)).astype(np.int64)


def refuse_marked_objects(header: Mapping[str, Any], settings: ReadSettings) -> None:
    """Refuse a mask of HSC or Rubin as a whole: one of its bits is set wherever there is light.

    Raises
    ------
    Rejected
        The header names that bit, and no `mask_bits` are given.
    """
    if settings.mask_bits is None and "MP_DETECTED" in header:
        bad = [header[key] for key in ("MP_BAD", "MP_SAT", "MP_CR", "MP_NO_DATA") if key in header]
        raise Rejected(
            "mask that marks objects",
            f"its bit {header['MP_DETECTED']} (MP_DETECTED) is set where there is light; say which bits are "
            f"bad, for example mask_bits: {bad or [0]}",
        )


def marked(mask: npt.NDArray[Any], shape: tuple[int, ...], settings: ReadSettings) -> npt.NDArray[np.bool_]:
    """Pixels that a mask marks: those other than 0, or with one of `mask_bits`.

    Raises
    ------
    Rejected
        It has not this shape, or bits of something else than integers are asked for.
    """
    if mask.shape != shape:
        raise Rejected("mask of another shape", f"expected {shape}, found {mask.shape}")
    if settings.mask_bits is None:
        return np.asarray(mask != 0)
    if mask.dtype.kind not in "iu":
        raise Rejected("mask without bits", f"values of type {mask.dtype}")
    wanted_bits = sum(1 << bit for bit in set(settings.mask_bits))
    return np.asarray((mask.astype(np.int64) & wanted_bits) != 0)


def undefine(image: npt.NDArray[np.float64], mask: npt.NDArray[Any], settings: ReadSettings) -> None:
    """Make the pixels of a cutout NaN that its mask marks.

    Raises
    ------
    Rejected
        As `marked`; or it marks every pixel, as maps of weights and of good pixels do.
    """
    found = marked(mask, image.shape, settings)
    if found.all():
        raise Rejected(
            "masked everywhere",
            "no pixel of the mask is 0; is it a map of weights or of good pixels, or should only some bits "
            "count (mask_bits)?"
            if settings.mask_bits is None
            else f"each pixel has one of the bits {settings.mask_bits} of mask_bits",
        )
    image[found] = np.nan


def _image_in(hdu: Any, content: bytes, wanted: _Wanted) -> _Read | None:
    """What reads the image of an HDU; None if it holds none, and is not meant to.

    Raises
    ------
    Rejected
        It holds an image of another shape, or several.
    """
    if hdu.is_image:
        if hdu.header["NAXIS"] == 0:
            return None
        shape = tuple(hdu.header[f"NAXIS{axis}"] for axis in range(hdu.header["NAXIS"], 0, -1))
        if not has_size(wanted.image_shape(shape), wanted.size_px, wanted.fit, flat=False):
            raise wrong_shape(wanted.image_shape(shape), wanted.size_px, wanted.fit)
        return lambda: (_shaped(_image_pixels(hdu), shape, wanted), _id_in(hdu.header))
    if str(hdu.header.get("XTENSION", "")).strip() == "BINTABLE":
        return _image_in_table(hdu, content, wanted)
    return None


def _shaped(
    pixels: npt.NDArray[np.float64], shape: tuple[int, ...], wanted: _Wanted
) -> npt.NDArray[np.float64]:
    """Pixels in the shape of an image, or of a cube of bands."""
    if wanted.settings.band_axis is not None:
        return pixels.reshape(shape)
    sides = [length for length in shape if length != 1]
    return pixels.reshape(sides if len(sides) == 2 else (wanted.size_px, wanted.size_px))


def _end_of(hdu: Any, content: bytes) -> int:
    """Where an HDU ends: there the file does, but for empty blocks, or another HDU begins."""
    spans = hdu.fileinfo()
    end: int = spans["datLoc"] + spans["datSpan"]
    if end > len(content):
        raise Rejected("truncated", f"{len(content)} of {end} bytes")
    if not content.startswith(b"XTENSION", end):
        rest = content[end:]
        if len(rest) % BLOCK or rest.strip(b"\0 "):
            raise Rejected("inconsistent header", f"{len(rest)} bytes more than it states")
    return end


def _refuse_changed(hdu: Any, content: bytes, title: str) -> None:
    """Compare an HDU, as it stands in the file, with the checksums that its header states."""
    spans = hdu.fileinfo()
    start, data_at = spans["hdrLoc"], spans["datLoc"]
    end = data_at + spans["datSpan"]
    stated: dict[bytes, set[bytes]] = {b"CHECKSUM": set(), b"DATASUM ": set()}
    for at in range(start, data_at, CARD):
        card = _CHECKSUMS.match(content, at, at + CARD)
        if card:
            stated[card[1]].add((card[2] or card[3] or b"").strip())
    # An empty text means: not known. Of different values, as in a header that a cutout service has pieced
    # together from those of other files, the standard (4.1.2.1) knows none.
    (checksum,), (datasum,) = (values if len(values) == 1 else [b""] for values in stated.values())
    if datasum and not (datasum.isdigit() and _sum(content[data_at:end]) == int(datasum) % _MODULUS):
        raise Rejected("checksum does not match", f"DATASUM of {title}")
    if checksum and _sum(content[start:end]):
        raise Rejected("checksum does not match", f"CHECKSUM of {title}")


_MODULUS = 2**32 - 1


def _sum(blocks: bytes) -> int:
    """The ones' complement sum of 32-bit words: with carries added back, their sum modulo 2^32 - 1."""
    return int(np.frombuffer(blocks, ">u4").sum(dtype=np.uint64)) % _MODULUS


def _image_pixels(hdu: Any) -> npt.NDArray[np.float64]:
    meaning = meaning_of(hdu)
    return physical(np.asarray(hdu.data), *meaning)


def meaning_of(hdu: Any) -> tuple[list[Any], float, float]:
    """What the stored numbers of an image mean: those that mean "undefined", scale and zero.

    To be asked before the first look at the image: astropy fails at a BLANK that cannot be stored.

    Raises
    ------
    Rejected
        The header contradicts itself.
    """
    header = hdu.header
    blanks = [header.get("BLANK")]
    if hasattr(hdu, "compression_type"):
        # The mark in the compressed integers, which need not be that of the image.
        packed = hdu._bintable
        as_integers = not hdu.compression_type.startswith(("GZIP", "NOCOMPRESS"))
        if header["BITPIX"] < 0 and as_integers and "ZSCALE" not in packed.columns.names:
            raise Rejected("inconsistent header", f"floats in {hdu.compression_type} without their scale")
        blanks.append(packed.header.get("ZBLANK"))
        if "ZBLANK" not in packed.columns.names:
            header.remove("BLANK", ignore_missing=True)
    return blanks, _number(header, "BSCALE", 1.0), _number(header, "BZERO", 0.0)


def physical(
    stored: npt.NDArray[Any], blanks: list[Any], scale: float, zero: float
) -> npt.NDArray[np.float64]:
    """Values from stored numbers: scaled, and NaN where an integer is one of those that mean "undefined"."""
    if stored.dtype.kind not in "iuf":
        raise Rejected("no image", f"values of type {stored.dtype}")
    if stored.dtype.kind == "f":
        return _scaled(stored, scale, zero)
    if stored.dtype.itemsize == 8 and (scale, zero) == (1, 2.0**63):  # of unsigned integers; exact as such
        values = (stored.astype(np.uint64) ^ np.uint64(2**63)).astype(np.float64)
    else:
        values = _scaled(stored, scale, zero)
    limits = np.iinfo(stored.dtype)
    for mark in (_integer(blank) for blank in blanks):
        if mark is None:
            continue
        # The standard means the stored integer. Of unsigned integers, which are stored less an offset, some
        # writers state the value itself: where that cannot be stored, there is no doubt.
        stored_mark = mark if limits.min <= mark <= limits.max or scale != 1 else mark - int(zero)
        if limits.min <= stored_mark <= limits.max:
            values[stored == stored_mark] = np.nan
    return values


def _scaled(stored: npt.NDArray[Any], scale: float, zero: float) -> npt.NDArray[np.float64]:
    values = stored.astype(np.float64)
    # Not where it changes nothing but the sign of a zero, by which the same image would have another hash.
    return values if (scale, zero) == (1, 0) else values * scale + zero


def _integer(value: Any) -> int | None:
    """An integer of a header, also one written as text or with a decimal point; None if it is none."""
    try:
        number = float(value) if not isinstance(value, int) else value
        return int(number) if number == int(number) else None
    except (TypeError, ValueError, OverflowError):
        return None


def _number(header: Mapping[str, Any], keyword: str, default: float) -> float:
    value = header.get(keyword, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected("inconsistent header", f"{keyword} is no number")
    return float(value)


def _image_in_table(hdu: Any, content: bytes, wanted: _Wanted) -> _Read | None:
    n_rows = hdu.header["NAXIS2"]
    if n_rows == 0:
        return None
    cells = [_cell(hdu, content, number) for number in range(len(hdu.columns))]
    columns = [
        Column(column.name, _shape_of_cell(shape, wanted), code in _ELEMENTS)
        for column, (shape, code, _) in zip(hdu.columns, cells, strict=True)
    ]
    chosen = choose_image(columns, wanted.size_px, wanted.fit)
    if chosen is None:
        return None
    width = sum(hdu.columns.dtype[n].itemsize for n in range(len(columns)))
    if width != hdu.header["NAXIS1"]:
        raise Rejected("inconsistent header", f"columns of {width} bytes in rows of {hdu.header['NAXIS1']}")
    if n_rows != 1:
        raise Rejected("several images", f"{n_rows} rows")
    shape, code, offset = cells[chosen]

    def read() -> tuple[npt.NDArray[np.float64], str]:
        stored = np.frombuffer(content, _ELEMENTS[code], math.prod(shape), offset)
        keys = [f"{keyword}{chosen + 1}" for keyword in ("TNULL", "TSCAL", "TZERO")]
        scale, zero = _number(hdu.header, keys[1], 1.0), _number(hdu.header, keys[2], 0.0)
        pixels = physical(stored, [hdu.header.get(keys[0])], scale, zero)
        return _shaped(pixels, shape, wanted), _id_in_table(hdu, content) or _id_in(hdu.header)

    return read


def _shape_of_cell(shape: tuple[int, ...], wanted: _Wanted) -> tuple[int, ...]:
    """Shape of the image in a cell; as it is if it has none of the bands that are wanted."""
    try:
        return wanted.image_shape(shape)
    except Rejected:
        return shape


def _cell(hdu: Any, content: bytes, number: int) -> tuple[tuple[int, ...], str, int]:
    """Shape, letter of the format, and offset in the file of a column's cell in the first row."""
    raw = hdu.data.dtype
    offset = hdu.fileinfo()["datLoc"] + raw.fields[raw.names[number]][1]
    form = _FORMAT.match(hdu.columns[number].format)
    variable, code = form.groups() if form else ("", "")
    if not variable:
        return raw[number].shape or (1,), code, offset
    # The cell holds length and offset of an array in the heap that follows the rows.
    length, offset = (int(n) for n in np.frombuffer(content, ">i4" if variable == "P" else ">i8", 2, offset))
    header, info = hdu.header, hdu.fileinfo()
    start = info["datLoc"] + header.get("THEAP", header["NAXIS1"] * header["NAXIS2"]) + offset
    end = start + length * np.dtype(_ELEMENTS.get(code, "u1")).itemsize
    if length < 0 or offset < 0 or end > info["datLoc"] + info["datSpan"]:
        raise Rejected(
            "inconsistent header", f"an array of variable length of {length} values beyond the data"
        )
    return (length,), code, start


def _id_in_table(hdu: Any, content: bytes) -> str:
    number = choose_id([column.name for column in hdu.columns])
    if number is None:
        return ""
    if "A" not in hdu.columns[number].format:
        null = hdu.columns[number].null
        if null is not None and (hdu.data.view(np.ndarray)[hdu.columns[number].name] == null).any():
            return ""
        return id_text(hdu.data.field(number)[0])
    # The raw bytes: astropy refuses ids that are not ASCII.
    _, offset = hdu.data.dtype.fields[hdu.data.dtype.names[number]][:2]
    start = hdu.fileinfo()["datLoc"] + offset
    return clean_id(content[start : start + hdu.data.dtype[number].itemsize])


def _id_in(header: Any) -> str:
    found = (id_text(header[keyword]) for keyword in ID_KEYWORDS if keyword in header)
    return next((name for name in found if name), "")
