"""The way that is done first is taken, by made-up timings."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from stronglens.networks.ways import (
    Candidate,
    Choice,
    ChoiceFile,
    LostDeviceError,
    Measured,
    choose,
    in_words,
)

THREE = [Candidate("eager", "eager"), Candidate("whole", "whole", 2.0), Candidate("compiled", "fast", 60.0)]
EAGER = Measured(0.5, 0.04, [0.7, 0.6])


def measuring(found: Mapping[str, Measured | Exception], asked: list[str]) -> Callable[[str], Measured]:
    def measure(name: str) -> Measured:
        asked.append(name)
        one = found[name]
        if isinstance(one, Exception):
            raise one
        return one

    return measure


def chosen(n_steps: int, **found: Measured | Exception) -> tuple[Choice, list[str]]:
    asked: list[str] = []
    return choose(THREE, measuring({"eager": EAGER} | found, asked), n_steps), asked


def test_the_fastest_wins() -> None:
    choice, _ = chosen(10**6, whole=Measured(2, 0.006), compiled=Measured(60, 0.003))
    assert choice.name == "compiled"
    line = in_words(choice, THREE, "images", 128)
    assert line.startswith("taken: fast; measured: eager 3,200 images/s (set up in 0 s)")


def test_a_setup_that_takes_longer_than_it_saves_is_not_worth_it() -> None:
    choice, asked = chosen(18_000, whole=Measured(2, 0.006), compiled=Measured(80, 0.003))
    assert (choice.name, asked) == ("whole", ["eager", "whole", "compiled"])
    # With so few steps it is not even tried.
    choice, asked = chosen(1000, whole=Measured(2, 0.006), compiled=Measured(0, 0))
    assert (choice.name, asked) == ("whole", ["eager", "whole"])
    assert "would not be won back" in choice.refused["compiled"]
    choice, asked = chosen(20, whole=Measured(2, 0.006))
    assert (choice.name, asked) == ("eager", ["eager"])


@pytest.mark.parametrize(
    ("way", "why"),
    [
        (RuntimeError("no kernel image\nfor this card"), "RuntimeError: no kernel image"),
        (AssertionError(), "AssertionError: AssertionError"),
        (Measured(2, 0.001, [0.7, math.nan]), "not finite"),
        (Measured(2, math.inf, [0.7, 0.6]), "not finite"),
        (Measured(2, 0.001, [0.7, 0.62]), "2.0e-02 from those of the first"),
    ],
)
def test_a_way_that_fails_or_is_wrong_is_not_taken(way: Measured | Exception, why: str) -> None:
    choice, asked = chosen(10**6, whole=way, compiled=Measured(60, 0.02, [0.7001, 0.6001]))
    assert (choice.name, asked) == ("compiled", ["eager", "whole", "compiled"])
    assert why in choice.refused["whole"]


def test_where_all_fail_the_first_is_taken() -> None:
    choice, _ = chosen(10**6, eager=ValueError("a"), whole=ValueError("b"), compiled=ValueError("c"))
    assert (choice.name, list(choice.refused)) == ("eager", ["eager", "whole", "compiled"])


def test_a_lost_gpu_ends_the_job() -> None:
    with pytest.raises(LostDeviceError):
        chosen(10**6, whole=LostDeviceError("an illegal memory access"))


def test_a_way_that_a_faster_one_makes_needless_is_not_tried() -> None:
    ways = [*THREE, Candidate("slower", "slower", unless="whole")]
    found = {"eager": EAGER, "whole": Measured(2, 0.006), "compiled": Measured(60, 0.003)}
    asked: list[str] = []
    choose(ways, measuring(found, asked), 10**6)
    assert asked == ["eager", "whole", "compiled"]
    found |= {"whole": Measured(2, math.nan), "slower": Measured(2, 0.001)}
    assert choose(ways, measuring(found, []), 10**6).name == "slower"


def test_jobs_share_the_choice_of_the_first(tmp_path: Path) -> None:
    first, second = (ChoiceFile(tmp_path, {"card": "H100", "batch": 128, "shape": [1, 41, 41]}) for _ in "ab")
    assert first.read() is None
    assert first.keep(Choice("whole", {"whole": EAGER}, {})) == "whole"
    assert second.keep(Choice("eager", {"eager": EAGER}, {})) == "whole"
    assert second.read() == "whole"
    assert ChoiceFile(tmp_path, {"card": "A100"}).read() is None
    assert len(list(tmp_path.iterdir())) == 1
    assert first.path is not None
    first.path.write_text("{")
    assert first.read() is None
    assert ChoiceFile(None, {}).keep(Choice("whole", {}, {})) == "whole"
    assert first.keep(Choice("eager", {"eager": EAGER}, {})) == "eager"  # in place of what is damaged
    assert second.read() == "eager"


def test_what_was_refused_and_whether_for_want_of_room_is_said(tmp_path: Path) -> None:
    full = torch.OutOfMemoryError("CUDA out of memory")
    choice, _ = chosen(10**6, whole=full, compiled=ValueError("never"))
    assert (choice.name, choice.had_room) == ("eager", False)
    choice, _ = chosen(10**6, whole=ValueError("never"), compiled=Measured(60, 0.003))
    assert choice.had_room
    kept = ChoiceFile(tmp_path / "choices", {"card": "H100"})
    kept.keep(choice)
    assert kept.path is not None
    assert json.loads(kept.path.read_text())["refused"] == {"whole": "ValueError: never"}


def test_a_way_in_which_the_device_was_lost_is_not_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = ChoiceFile(tmp_path / "choices", {"card": "H100"})
    assert kept.lost() == set()
    found = {
        "eager": EAGER,
        "whole": LostDeviceError("an illegal memory access"),
        "compiled": Measured(9, 0.02),
    }
    with pytest.raises(LostDeviceError):
        kept.choose(THREE, measuring(found, []), 10**6)
    assert "the next try leaves this way out" in caplog.text
    assert ChoiceFile(tmp_path / "choices", {"card": "A100"}).lost() == set()
    asked: list[str] = []
    choice = kept.choose(THREE, measuring(found, asked), 10**6)
    assert (choice.name, asked) == ("compiled", ["eager", "compiled"])
    assert "the device was lost" in choice.refused["whole"]
    found["eager"] = LostDeviceError("an illegal memory access")
    with pytest.raises(LostDeviceError):
        kept.choose(THREE, measuring(found, []), 10**6)
    assert kept.lost() == {"whole"}
