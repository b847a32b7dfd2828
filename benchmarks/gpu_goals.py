"""What is demanded of the rates that `gpu.py` has measured, and what a card could do at most."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Records = Sequence[Mapping[str, Any]]

MEMBERS = {"nano": (700_000, 80), "atto": (700_000, 80), "recipe": (140_000, 56)}
"""Images that a member of the real run learns from, and epochs; crops of images are counted as whole."""
BATCH = 128
NOT_MEASURED = "not measured"
ALL_S = 480.0
"""Seconds in which all of it is to end."""
NEAR_LIMIT, TIMES_NAIVE, MEMBER_MIN, NOT_SLOWER = 0.9, 30.0, 45.0, 1.05
"""Share of the rate on resident random data; times the naive loader; minutes of nano on an H100; times the
cost of the best way, which leaves room for two measurements of the same way."""

PEAKS: dict[str, dict[str, float]] = {
    "B200": {"bf16": 2250, "fp16": 2250, "tf32": 1125},
    "GH200": {"bf16": 989, "fp16": 989, "tf32": 494, "float32": 67},
    "H200 NVL": {"bf16": 835, "fp16": 835, "tf32": 417, "float32": 60},
    "H200": {"bf16": 989, "fp16": 989, "tf32": 494, "float32": 67},
    "H100 NVL": {"bf16": 835, "fp16": 835, "tf32": 417, "float32": 60},
    "H100 PCIe": {"bf16": 756, "fp16": 756, "tf32": 378, "float32": 51},
    "H100 80GB HBM3": {"bf16": 989, "fp16": 989, "tf32": 494, "float32": 67},
    "A100": {"bf16": 312, "fp16": 312, "tf32": 156, "float32": 19.5},
    "A40": {"bf16": 150, "fp16": 150, "tf32": 75, "float32": 37},
    "A10": {"bf16": 125, "fp16": 125, "tf32": 62.5, "float32": 31},
    "L40S": {"bf16": 362, "fp16": 362, "tf32": 183, "float32": 92},
    "L4": {"bf16": 121, "fp16": 121, "tf32": 60, "float32": 30},
    "T4": {"fp16": 65, "float32": 8.1},
}
"""TFLOP/s of dense products by card and precision, of NVIDIA's data sheets (tensor cores, without sparsity:
half of what is printed large): https://www.nvidia.com/en-us/data-center/ h100, h200, a100, l40s, …; B200: of
the HGX platform there, an eighth. No card has run at these under its limit of power: on an H100 SXM products
alone reached 716 in bfloat16, 343 in TF32, 52 in float32 (RESULTS.md)."""


def peak_tflops(card: str, precision: str) -> float | None:
    """Most that a card of this name (as PyTorch gives it) can do in products, TFLOP/s; None where unknown."""
    # Whole words: an A100 is no A10, and an L40S no L4. A slice is not the card.
    words = card.replace("-", " ").split()
    if "MIG" in words:
        return None
    for name, peaks in PEAKS.items():
        wanted = name.split()
        if any(words[at : at + len(wanted)] == wanted for at in range(len(words))):
            return peaks.get(precision)
    return None


def goals(records: Records, batch: int = BATCH, *, demanded: bool = True) -> Iterator[dict[str, Any]]:
    """A row for each goal: name, value, unit, whether it is met, a note.

    What is not asked is None; what has not been measured is not met where all of it was to be measured.

    Parameters
    ----------
    records : sequence of dict
        Results of `gpu.py`; those with a key `of` say there of what: "way" (kind, batch, way, setup_s,
        step_s, agrees), "chosen" and "limit" (kind, batch), "naive" (kind), "card", "took" (left_out, whole).
    batch : int
        Of the trainings that goals are about.
    demanded : bool
        Whether goals are asked for; on a CPU they are only worked out.
    """
    whole = any(took["of"]["whole"] for took in _of(records, "took"))
    for row in _goals(records, batch, demanded=demanded):
        missing = demanded and whole and row["value"] == NOT_MEASURED
        yield row | ({"ok": False} if missing else {})


def _goals(records: Records, batch: int, *, demanded: bool) -> Iterator[dict[str, Any]]:
    for kind in MEMBERS:
        chosen, limit = _chosen(records, kind, batch), _value(records, "limit", kind=kind, batch=batch)
        share = chosen and limit and chosen["value"] / limit
        yield _row(
            f"{kind}: at least {NEAR_LIMIT:.0%} of the rate on resident random data",
            *(share, "of it", share and share >= NEAR_LIMIT, demanded),
        )
        best = min(map(_cost_s, _of(records, "way", kind=kind, batch=batch, agrees=True)), default=None)
        times = chosen and best and _cost_s(chosen) / best
        yield _row(
            f"{kind}: no slower than the fastest way tried, set-up and a member's steps together",
            *(times, "times its time", times and times <= NOT_SLOWER, demanded),
        )
    chosen, naive = _chosen(records, "atto", batch), _value(records, "naive", kind="atto")
    times = chosen and naive and chosen["value"] / naive
    yield _row(
        f"atto: at least {TIMES_NAIVE:.0f} x a data loader that opens FITS files, eager",
        *(times, "times its rate", times and times >= TIMES_NAIVE, demanded),
    )
    chosen, card = _chosen(records, "nano", batch), str(_value(records, "card") or "")
    minutes = chosen and _cost_s(chosen) / 60
    of_an_h100 = (peak_tflops(card, "bf16") or 0) >= PEAKS["H100 80GB HBM3"]["bf16"]
    yield _row(
        f"nano: a member of 700,000 x 80 within {MEMBER_MIN:.0f} min, on an H100 or better",
        *(minutes, "min", minutes and minutes <= MEMBER_MIN, demanded and of_an_h100),
    )
    for took in _of(records, "took"):
        seconds, left_out = took["value"], took["of"]["left_out"]
        yield _row(
            f"all sections within {ALL_S:.0f} s",
            *(seconds, "s", seconds <= ALL_S and not left_out, demanded and took["of"]["whole"]),
        )


def shares_of_peak(records: Records, precision: str) -> Iterator[dict[str, Any]]:
    """A row for each kind and batch: what of the card's peak the fastest way uses; "unknown" where it is."""
    card = str(_value(records, "card") or "")
    peak = peak_tflops(card, precision)
    rates: dict[tuple[str, int], float] = {}
    for one in _of(records, "way"):
        key = one["of"]["kind"], one["of"]["batch"]
        rates[key] = max(rates.get(key, 0.0), one["value"])
    for (kind, batch), rate in rates.items():
        work = _value(records, "work", kind=kind)
        if work is not None:
            tflops = rate * work / 1e12
            note = f"{tflops:.3g} TFLOP/s of {'unknown' if peak is None else f'{peak:g}'}, {precision}"
            share = "unknown" if peak is None else tflops / peak
            yield {
                "name": f"{kind}, batch {batch}, fastest way: share of the card's peak",
                **{"value": share, "unit": "", "ok": None, "note": note},
            }


def _of(records: Records, what: str, **more: Any) -> list[Mapping[str, Any]]:
    wanted = {"what": what} | more
    return [one for one in records if wanted.items() <= (one.get("of") or {}).items()]


def _value(records: Records, what: str, **more: Any) -> Any:
    found = _of(records, what, **more)
    return found[-1]["value"] if found else None


def _chosen(records: Records, kind: str, batch: int) -> Mapping[str, Any] | None:
    """The rate of the way that `auto` took, or None."""
    way = _value(records, "chosen", kind=kind, batch=batch)
    found = _of(records, "way", kind=kind, batch=batch, way=way)
    return found[-1] if found else None


def _cost_s(way: Mapping[str, Any]) -> float:
    """Seconds of a member's training."""
    of, n_images = way["of"], math.prod(MEMBERS[way["of"]["kind"]])
    return float(of["setup_s"] + n_images / of["batch"] * of["step_s"])


def _row(name: str, value: Any, unit: str, met: Any, asked: bool) -> dict[str, Any]:
    if value is None:
        return {"name": name, "value": NOT_MEASURED, "unit": "", "ok": None, "note": ""}
    note = "" if asked else "not asked of this device"
    return {"name": name, "value": value, "unit": unit, "ok": bool(met) if asked else None, "note": note}
