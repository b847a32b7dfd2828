"""Which of several ways to do the same work is taken: the one that is done first, found by measuring."""

import json
import logging
import math
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from stronglens.networks.device import LostDeviceError, first_line
from stronglens.running.errors import StoppedError

FURTHEST = 1e-2
"""A way whose losses are further than that from those of the first is not taken.

Measured, bfloat16, 20 steps of 128 images: recorded steps of the eager network give the same losses to
the bit (H200, nano). Compiled ones round differently, which training amplifies: 1e-4 (H100, atto);
single steps late among the 20 up to 1.2e-2 (H200, nano, random labels, dropped paths). So means over the
steps so far are compared: 4e-3 (nano), 4e-4 (cutout_resnet), 3e-4 (atto) apart on an H200.
"""

LARGEST_GAIN = 0.65
"""Share of the remaining time that a way is thought to save at most: it decides whether trying one that takes
long to set up is worth it. Measured, compiled against eager, both as recorded steps of 128 images: 0.45
(H100, atto), 0.61 (H200, atto), 0.59 (H200, nano), 0.13 (H200, cutout_resnet with Muon)."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A way of working.

    Attributes
    ----------
    name, words : str
        What it is called, and what it is in words.
    setup_s : float
        Seconds that its set-up is thought to take.
    unless : str
        Another way, of which it is known that it is faster where it works: then this one is not tried.
    """

    name: str
    words: str
    setup_s: float = 0.0
    unless: str = ""


@dataclass(frozen=True)
class Measured:
    """What was found of a way: seconds to set it up, seconds a step, losses of its first steps."""

    setup_s: float
    step_s: float
    losses: Sequence[float] = ()

    def cost_s(self, n_steps: int) -> float:
        """Seconds of so many steps."""
        return self.setup_s + n_steps * self.step_s


@dataclass(frozen=True)
class Choice:
    """The way that is taken, what was measured of each, and why others were not taken.

    `had_room` is false where one had no room on the device: another job may find some.
    """

    name: str
    measured: dict[str, Measured]
    refused: dict[str, str]
    had_room: bool = True


def choose(
    candidates: Sequence[Candidate],
    measure: Callable[[str], Measured],
    n_steps: int,
    furthest: float = FURTHEST,
    lost: Collection[str] = (),
) -> Choice:
    """Measure ways and take the one with the least cost: set-up, and the steps that are to come.

    Parameters
    ----------
    candidates : sequence of Candidate
        The first is what the losses of the others are compared with, and what is taken where all fail.
    measure : callable
        Tries a way, by its name. What it raises refuses that way.
    n_steps : int
        Steps that are to come.
    furthest : float
        Largest difference of losses.
    lost : collection of str
        Ways in which the device was lost before: they are not tried.

    Raises
    ------
    LostDeviceError, StoppedError
        What `measure` raises of these.
    """
    measured: dict[str, Measured] = {}
    refused: dict[str, str] = {}
    had_room = True
    reference: Sequence[float] = ()
    for candidate in candidates:
        if candidate.unless in measured:
            continue
        if candidate.name in lost:
            refused[candidate.name] = "not tried: the device was lost in it before"
            continue
        best_s = min((one.cost_s(n_steps) for one in measured.values()), default=math.inf)
        if candidate.setup_s > LARGEST_GAIN * best_s:
            refused[candidate.name] = f"not tried: about {candidate.setup_s:.0f} s would not be won back"
            continue
        try:
            found = measure(candidate.name)
        except (LostDeviceError, StoppedError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a way, there are others
            refused[candidate.name] = f"{type(error).__name__}: {first_line(error)}"
            had_room = had_room and not isinstance(error, torch.OutOfMemoryError)
            continue
        if fault := _fault(found, reference, furthest):
            refused[candidate.name] = fault
            continue
        reference = reference or found.losses
        measured[candidate.name] = found
    best = min(measured, key=lambda name: measured[name].cost_s(n_steps), default=candidates[0].name)
    return Choice(best, measured, refused, had_room)


def _fault(found: Measured, reference: Sequence[float], furthest: float) -> str:
    if not all(map(math.isfinite, [found.setup_s, found.step_s, *found.losses])):
        return "a loss or a time is not finite"
    off = max((abs(a - b) for a, b in zip(found.losses, reference, strict=False)), default=0.0)
    return f"its losses are {off:.1e} from those of the first way" if off > furthest else ""


def in_words(choice: Choice, candidates: Sequence[Candidate], unit: str, units_a_step: int) -> str:
    """One line for the log: what is taken, and the rate of each."""
    words = {one.name: one.words for one in candidates}
    rates = [
        f"{words[name]} {units_a_step / found.step_s:,.0f} {unit}/s"
        + (f" (set up in {found.setup_s:.0f} s)" if found.setup_s else "")
        for name, found in choice.measured.items()
    ]
    refused = [f"{words[name]}: {why}" for name, why in choice.refused.items()]
    return f"taken: {words[choice.name]}; measured: " + "; ".join([*rates, *refused])


class _Kept(BaseModel):
    """The file of a choice."""

    model_config = ConfigDict(extra="forbid")

    format: int = 1
    key: dict[str, Any]
    way: str
    measured: dict[str, Any]
    refused: dict[str, str]


@dataclass(frozen=True)
class ChoiceFile:
    """A choice that jobs of one kind share, so that all seeds of a run compute alike.

    Attributes
    ----------
    folder : Path or None
        Where choices are kept; None: each job chooses for itself.
    key : dict of JSON values
        All that the choice depends on: card, versions, network, batch, type.
    """

    folder: Path | None
    key: dict[str, Any]

    @property
    def path(self) -> Path | None:
        """Where it lies."""
        text = json.dumps(self.key, sort_keys=True)
        return self.folder and self.folder / f"{sha256(text.encode()).hexdigest()[:16]}.json"

    def read(self) -> str | None:
        """The way that was chosen, or None if there is none, or none that can be read."""
        if self.path is None or not self.path.is_file():
            return None
        try:
            kept = _Kept.model_validate_json(self.path.read_text(encoding="utf-8"))
        except (ValidationError, ValueError, OSError) as error:
            log.warning("%s is not used: %s", self.path, first_line(error))
            return None
        return kept.way if kept.format == 1 and kept.key == self.key else None

    def keep(self, choice: Choice) -> str:
        """Keep a choice, unless another job was first; gives the one that holds."""
        if self.path is None:
            return choice.name
        kept = _Kept(
            key=self.key,
            way=choice.name,
            measured={name: asdict(one) for name, one in choice.measured.items()},
            refused=choice.refused,
        )
        aside = self.path.with_name(f".{os.getpid()}.{self.path.name}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(kept.model_dump_json(indent=2) + "\n", encoding="utf-8")
            # A link is made only where there is none yet: the first choice holds for all.
            os.link(aside, self.path)
        except FileExistsError:
            if self.read() is None:  # it is damaged, or of another version
                aside.replace(self.path)
        except OSError as error:
            log.warning("%s: the choice is not kept for other jobs: %s", self.path, error)
        finally:
            aside.unlink(missing_ok=True)
        way = self.read() or choice.name
        if way != choice.name:
            log.info("taken as another job has found meanwhile: %s", way)
        return way

    def choose(
        self,
        candidates: Sequence[Candidate],
        measure: Callable[[str], Measured],
        n_steps: int,
        furthest: float = FURTHEST,
    ) -> Choice:
        """As the function of this name; a way in which the device is lost is left out by the next try.

        All but the first way: it is what others are compared with.
        """

        def noting(way: str) -> Measured:
            try:
                return measure(way)
            except LostDeviceError:
                if way != candidates[0].name:
                    self._note_lost(way)
                raise

        return choose(candidates, noting, n_steps, furthest, self.lost())

    def lost(self) -> set[str]:
        """Ways in which the device was lost."""
        if self.path is None:
            return set()
        return {
            path.read_text(encoding="utf-8") for path in self.path.parent.glob(f"{self.path.stem}.lost.*")
        }

    def _note_lost(self, way: str) -> None:
        if self.path is None:
            return
        note = self.path.with_name(f"{self.path.stem}.lost.{way.replace(' ', '-')}")
        with suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(way, encoding="utf-8")
            log.error("%s: the next try leaves this way out; remove it to try it again", note)


def card_of(device: torch.device) -> dict[str, Any]:
    """What of a device and of PyTorch a choice depends on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {"card": name, "torch": torch.__version__}
