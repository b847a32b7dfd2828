"""Where in the sky an image is, by the world coordinates (WCS) of its header.

Source: Calabretta & Greisen 2002 (A&A 395, 1077), equations 1, 12-17, 54 (TAN), 59 (SIN), 67 (ARC).
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

Sky = tuple[float, float]
NOWHERE: Sky = (math.nan, math.nan)

MOST_UNEVEN = 1.01
"""Ratio below which sizes of pixels are one: over the sky, and by updates of a WCS, they differ less."""

# Distance from the pole of the projection, from the distance on the plane in radians.
_ZENITHAL: dict[str, Callable[[float], float]] = {
    "TAN": math.atan,
    "SIN": math.asin,
    "ARC": lambda distance: distance,
    "STG": lambda distance: 2 * math.atan(distance / 2),
    "ZEA": lambda distance: 2 * math.asin(distance / 2),
}


def is_simple(header: Mapping[str, Any]) -> bool:
    """Whether a header has no celestial WCS, or one that `centre` computes by itself."""
    kinds = str(header.get("CTYPE1", "")).strip(), str(header.get("CTYPE2", "")).strip()
    if not (kinds[0].startswith("RA") and kinds[1].startswith("DEC")):
        return True
    plain = kinds[0][5:] == kinds[1][5:] and kinds[0][5:] in _ZENITHAL and "LONPOLE" not in header
    return plain and _is_in_degrees(header) and not _is_of_1950(header)


def _is_in_degrees(header: Mapping[str, Any]) -> bool:
    units = (str(header.get(keyword, "")).strip().lower() for keyword in ("CUNIT1", "CUNIT2"))
    return all(unit in ("", "deg", "degree", "degrees") for unit in units)


def _is_of_1950(header: Mapping[str, Any]) -> bool:
    """Whether coordinates are of B1950, half a degree from those of today, as in scans of old plates."""
    frame = str(header.get("RADESYS", header.get("RADECSYS", ""))).strip().upper()
    equinox = header.get("EQUINOX", header.get("EPOCH", 2000.0))
    before = isinstance(equinox, int | float) and equinox < 1984
    return frame.startswith("FK4") or (before and not frame)


def centre(header: Mapping[str, Any], height: int, width: int) -> Sky:
    """Sky coordinates of the centre of an image.

    Parameters
    ----------
    header : mapping
        Its keywords. Without a celestial WCS, or with a broken one, it is nowhere.
    height, width : int
        Pixels of the image.

    Returns
    -------
    ra, dec : float
        Degrees, right ascension from 0 to 360; NaN if it is nowhere.
    """
    if not str(header.get("CTYPE1", "")).startswith("RA") or "CRVAL1" not in header:
        return NOWHERE
    try:
        if is_simple(header):
            return _on_sphere(header, (width + 1) / 2, (height + 1) / 2)
        from astropy.wcs import WCS  # noqa: PLC0415 - only unusual projections need it

        wcs = WCS(header).celestial
        if _is_of_1950(header):
            sky = wcs.pixel_to_world((width - 1) / 2, (height - 1) / 2).icrs
            return float(sky.ra.deg) % 360, float(sky.dec.deg)
        ra, dec = wcs.all_pix2world((width + 1) / 2, (height + 1) / 2, 1)
        return float(ra) % 360, float(dec)
    except Exception:  # noqa: BLE001 - a header that is broken in any way says no more than none
        return NOWHERE


def pixel_scale(header: Mapping[str, Any]) -> float:
    """Side of a pixel on the sky in arcsec, the geometric mean of both; NaN where the header does not say."""
    states_it = any(keyword in header for keyword in ("CD1_1", "CD1_2", "CDELT1", "PC1_1", "PC001001"))
    if not str(header.get("CTYPE1", "")).startswith("RA") or not states_it or not _is_in_degrees(header):
        return math.nan
    try:
        a, b, c, d = _matrix(header)
    except (TypeError, ValueError):
        return math.nan
    return 3600 * math.sqrt(abs(a * d - b * c)) or math.nan


def _number(header: Mapping[str, Any], keyword: str, default: float | None = None) -> float:
    return float(header[keyword] if default is None else header.get(keyword, default))


def _matrix(header: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Degrees on the plane of the projection that pixels are apart: of x by x and by y, of y by both."""
    number = partial(_number, header)
    if any(f"CD{i}_{j}" in header for i in (1, 2) for j in (1, 2)):
        a, b, c, d = (number(f"CD{i}_{j}", 0) for i in (1, 2) for j in (1, 2))
        return a, b, c, d
    sx, sy = number("CDELT1", 1), number("CDELT2", 1)
    if "CROTA2" in header and not {"PC1_1", "PC001001"} & set(header):
        angle = math.radians(number("CROTA2"))
        return sx * math.cos(angle), -sy * math.sin(angle), sx * math.sin(angle), sy * math.cos(angle)
    # PC001001 is the older spelling, which Pan-STARRS has.
    pc = [[number(f"PC{i}_{j}", number(f"PC00{i}00{j}", i == j)) for j in (1, 2)] for i in (1, 2)]
    return sx * pc[0][0], sx * pc[0][1], sy * pc[1][0], sy * pc[1][1]


def _on_sphere(header: Mapping[str, Any], x_px: float, y_px: float) -> Sky:
    number = partial(_number, header)
    dx, dy = x_px - number("CRPIX1", 0), y_px - number("CRPIX2", 0)
    a, b, c, d = _matrix(header)
    x, y = math.radians(a * dx + b * dy), math.radians(c * dx + d * dy)
    ra0, dec0 = math.radians(number("CRVAL1")), math.radians(number("CRVAL2"))
    distance = math.hypot(x, y)
    angle_from_pole = _ZENITHAL[str(header["CTYPE1"]).strip()[5:]](distance)
    towards = math.atan2(x, y)  # position angle, east of north
    sin_dec = math.sin(dec0) * math.cos(angle_from_pole) + math.cos(dec0) * math.sin(
        angle_from_pole
    ) * math.cos(towards)
    along = math.sin(angle_from_pole) * math.sin(towards)
    across = math.cos(angle_from_pole) * math.cos(dec0) - math.sin(angle_from_pole) * math.sin(
        dec0
    ) * math.cos(towards)
    ra = ra0 + math.atan2(along, across)
    return math.degrees(ra) % 360, math.degrees(math.asin(max(-1.0, min(1.0, sin_dec))))
