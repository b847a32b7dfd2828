"""Settings of training."""

import pytest
from pydantic import ValidationError

from stronglens.settings.train import TrainSettings


def test_long_names_of_types_are_read() -> None:
    for long, short in (("bfloat16", "bf16"), ("float16", "fp16"), ("float32", "float32")):
        assert TrainSettings.model_validate({"precision": long}).precision == short
    with pytest.raises(ValidationError, match="precision"):
        TrainSettings.model_validate({"precision": "float64"})


@pytest.mark.parametrize("warmup", [3, 3.5])
def test_a_warm_up_ends_within_the_training(warmup: float) -> None:
    with pytest.raises(
        ValidationError, match=rf"warmup_epochs \({float(warmup)}\) must be less than epochs \(3\)"
    ):
        TrainSettings(epochs=3, warmup_epochs=warmup)
    assert TrainSettings(epochs=3, warmup_epochs=2.9).warmup_epochs == 2.9


@pytest.mark.parametrize("key", ["lr", "epochs", "ema_decay", "patience"])
def test_yes_is_no_number(key: str) -> None:
    with pytest.raises(ValidationError, match="found true, expected something else than true or false"):
        TrainSettings.model_validate({key: True})


def test_what_came_later_and_is_off_is_in_no_record() -> None:
    assert "layer_decay" not in TrainSettings().model_dump(mode="json")
    assert TrainSettings(layer_decay=0.0).model_dump(mode="json")["layer_decay"] == 0.0
