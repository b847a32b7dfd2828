"""From keys to values, and from values to settings."""

import pytest

from stronglens.running.errors import InputError
from stronglens.searching.distributions import distribution_of
from stronglens.searching.space import (
    field_of,
    in_words,
    number_type,
    read,
    settings_with,
    with_values,
    written,
)
from stronglens.settings.member import MemberSettings
from stronglens.settings.search import Dimension


def test_what_a_study_keeps_of_a_value_comes_back() -> None:
    choices = [True, 1, 1.0, "1", None, [1, 2], {"patch_size": 3}, {}]
    dimension = Dimension(choices=choices)
    for choice in choices:
        back = read(dimension, written(choice))
        assert (type(back), back) == (type(choice), choice)
    epochs = distribution_of("train.epochs", Dimension(low=5, high=22, step=5))
    assert (epochs.low, epochs.high, epochs.step) == (5, 20, 5)


def test_a_key_is_found_by_its_place_alone() -> None:
    lr = field_of("train.lr")
    assert lr is not None
    assert lr.annotation is float
    assert field_of("train") is not None
    for unknown in ("lr", "train.lrr", "train.lr.value", "network.timm.depths", ""):
        assert field_of(unknown) is None, unknown


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("train.lr", float),
        ("train.epochs", int),
        ("train.clip_grad_norm", float),  # or null
        ("preprocess.pad_to_px", int),
        ("train.schedule", None),
        ("train.augment", None),
        ("train.lrr", None),
    ],
)
def test_which_numbers_a_key_takes(key: str, kind: type | None) -> None:
    assert number_type(key) is kind


def test_values_change_their_keys_alone_and_not_the_member() -> None:
    member = MemberSettings()
    found = settings_with(member, {"train.lr": 0.5, "network.drop_path": 0.25, "bands": ["g", "r"]})
    assert (found.train.lr, found.network.drop_path, found.bands) == (0.5, 0.25, ["g", "r"])
    assert member == MemberSettings()
    back = settings_with(found, {"train.lr": member.train.lr, "network.drop_path": 0.0, "bands": "each"})
    assert back == member
    plain = with_values(member, {"train.lr": "wrong"})
    assert plain["train"].pop("lr") == "wrong"  # not checked
    assert plain["train"] == {
        key: value for key, value in member.model_dump(mode="json")["train"].items() if key != "lr"
    }


def test_values_that_do_not_go_together_are_explained() -> None:
    with pytest.raises(
        InputError, match=r"^these settings: .*train\.band_dropout: expected a stack of bands"
    ):
        settings_with(MemberSettings(), {"train.band_dropout": 0.1})


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.000123456, "0.000123"), (3, "3"), (True, "true"), (None, "null"), ("ä", "ä"), (["ä", 1], '["ä", 1]')],
)
def test_values_in_words(value: object, words: str) -> None:
    assert in_words(value) == words
