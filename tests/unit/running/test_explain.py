"""What is wrong with settings, in a line that says where, what was found, and what to write."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from stronglens.running.explain import CONTRADICTION, dotted, explain


class Rate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    low: float = Field(gt=0, examples=[0.5])
    high: float | None = Field(None, le=10)


class Root(BaseModel):
    model_config = ConfigDict(extra="forbid")

    epochs: int = Field(3, ge=1, examples=[80])
    name: str = Field("a", min_length=1, pattern="^[a-z]+$")
    augment: bool = False
    schedule: Literal["cosine", "step"] = "cosine"
    rates: dict[Annotated[str, Field(pattern="^[a-z]+$")], Rate] = Field(default_factory=dict)
    seeds: list[int] = Field([1], min_length=1, max_length=2)
    either: str | Rate = "none"
    odd: int = Field(1, examples=[7])

    @field_validator("odd")
    @classmethod
    def _is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"found {value}, expected an odd number")
        return value


def said(**settings: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Root.model_validate(settings)
    return explain(caught.value.errors(), Root, "my.yaml")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"epochs": 0}, "epochs: found 0, expected greater than or equal to 1; for example epochs: 80"),
        ({"epochs": "many"}, 'epochs: found "many", expected a whole number; for example epochs: 80'),
        ({"epochs": 1.5}, "epochs: found 1.5, expected a whole number; for example epochs: 80"),
        ({"name": ""}, 'name: found "", expected a text that is not empty'),
        ({"name": "A"}, 'name: found "A", expected a text that matches ^[a-z]+$'),
        ({"name": 3}, "name: found 3, expected a text"),
        ({"augment": "perhaps"}, 'augment: found "perhaps", expected true or false'),
        ({"schedule": "cos"}, "schedule: found \"cos\", expected 'cosine' or 'step'"),
        ({"seeds": 3}, "seeds: found 3, expected a list"),
        ({"seeds": []}, "seeds: found [], expected at least 1 entry"),
        ({"seeds": [1, 2, 3]}, "seeds: found [1, 2, 3], expected at most 2 entries"),
        ({"seeds": [1, "x"]}, 'seeds.1: found "x", expected a whole number'),
        ({"rates": 3}, "rates: found 3, expected a block of keys"),
        ({"rates": {"a": {}}}, "rates.a.low: missing; it has no default; for example low: 0.5"),
        (
            {"rates": {"a": {"low": -1}}},
            "rates.a.low: found -1, expected greater than 0; for example low: 0.5",
        ),
        (
            {"rates": {"a": {"low": 1, "high": 11}}},
            "rates.a.high: found 11, expected less than or equal to 10",
        ),
        ({"rates": {"A": {"low": 1}}}, 'rates.A: found "A", expected a text that matches ^[a-z]+$'),
        ({"odd": 4}, "odd: found 4, expected an odd number; for example odd: 7"),
        ({"epoch": 3}, "epoch: unknown key; did you mean epochs?"),
        (
            {"rates": {"a": {"low": 1, "middle": 3}}},
            "rates.a.middle: unknown key; known keys here: low, high",
        ),
    ],
)
def test_a_wrong_setting_has_a_line(settings: dict[str, Any], line: str) -> None:
    assert said(**settings) == f"my.yaml: {line}"


def test_a_setting_of_several_kinds_has_one_line() -> None:
    assert said(either=3) == (
        "my.yaml: either: found 3, expected a text or a block of keys; for example either: {low: 0.5}"
    )


def test_each_wrong_setting_has_its_own_line() -> None:
    lines = said(epochs=0, seeds=["x", "y"]).split("\n")
    assert [line.split(":")[1] for line in lines] == [" epochs", " seeds.0", " seeds.1"]


def test_long_values_are_cut() -> None:
    line = said(name="A" * 500)
    assert f'found "{"A" * 59}…, expected' in line


def test_a_contradiction_says_all_itself() -> None:
    problem = {"type": CONTRADICTION, "loc": ("epochs",), "msg": "more than there are", "input": 3}
    assert explain([problem], Root, "x") == "x: epochs: more than there are"


def test_places_are_written_as_they_are_asked_for() -> None:
    assert dotted(("models", "nano", 3)) == "models.nano.3"
    assert dotted(()) == "the whole"
    problem = {"type": "missing", "loc": ("epochs",), "msg": "", "input": {}}
    found = explain([problem], Root, "command line", lambda place: f"--{place[0]}")
    assert found == "command line: --epochs: missing; it has no default; for example epochs: 80"
