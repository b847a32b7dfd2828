"""What a search may be told to try."""

from typing import Any

import pytest
from pydantic import ValidationError

from stronglens.settings.search import Dimension, TrialSettings

RANGE = {"low": 1e-5, "high": 1e-3}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give either low and high, or choices"),
        ({"low": 1}, "give either low and high, or choices"),
        (RANGE | {"choices": [1]}, "give either low and high, or choices"),
        ({"choices": [1], "step": 1}, "log and step are of ranges"),
        ({"low": 2, "high": 1}, r"low \(2\) must not be more than high \(1\)"),
        ({"low": 0, "high": 1, "log": True}, "with log, low must be more than 0"),
        (RANGE | {"log": True, "step": 1e-5}, "with log, low must be more than 0, and there is no step"),
    ],
)
def test_a_dimension_is_a_range_or_choices(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Dimension.model_validate(given)


@pytest.mark.parametrize("given", [RANGE, RANGE | {"log": True}, {"low": 1, "high": 1}, {"choices": [None]}])
def test_dimensions_that_are_right(given: dict[str, Any]) -> None:
    Dimension.model_validate(given)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:SECRET@host/db",
        "mysql://host/db?user=me&password=SECRET",
        "mysql://host/db?PASSWD=SECRET",
        "postgresql+psycopg2://:SECRET@host/db",
    ],
)
def test_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TrialSettings(storage=url)
    said = "; ".join(problem["msg"] for problem in caught.value.errors())
    assert "found a password in the URL" in said
    assert "SECRET" not in said


@pytest.mark.parametrize("url", ["sqlite", "journal", "postgresql://me@host:5432/db", "mysql://host/a@b:c"])
def test_storages_that_are_right(url: str) -> None:
    assert TrialSettings(storage=url).storage == url
