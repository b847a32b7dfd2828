"""The config: what is right is taken as meant, what is wrong is explained."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from small_configs import CONFIG_FOLDER, SMALL, only_problem, problems, small
from stronglens.configuring.config import check_config, check_sources
from stronglens.configuring.config_page import config_schema
from stronglens.configuring.timm_names import timm_names
from stronglens.running.errors import InputError
from stronglens.settings.data import BUCKETS, PackSettings
from stronglens.settings.domains import TransferSettings
from stronglens.settings.member import MemberSettings

CONFIGS = ["config.yaml", "challenge.yaml", "challenge_grizy.yaml"]


def read(name: str) -> Any:
    return yaml.safe_load((CONFIG_FOLDER / name).read_text())


# What is right


def test_the_real_run_is_the_one_of_the_challenge() -> None:
    config = check_config(read("challenge.yaml"), "challenge.yaml")
    assert config.simulate is None
    assert config.members("nano") == [("nano", seed) for seed in (42, 101, 202, 303, 404)]
    assert list(config.models) == list(config.ensembles) == ["nano"]
    member = config.member_settings("nano", 202)
    assert (member.network.name, member.network.drop_path) == ("convnextv2_nano", 0.05)
    assert member.bands == "each"
    assert (member.preprocess.smoothing, member.preprocess.gaussian_sigma_px) == ("gaussian", 1.0)
    assert member.preprocess.normalise
    assert (member.preprocess.clip_quantile, member.preprocess.low_clip_quantile) == (0.997, None)
    train = member.train
    assert (train.batch_size, train.lr, train.weight_decay) == (128, 3.5e-4, 1e-4)
    assert (train.epochs, train.patience, train.monitor) == (80, 20, "auc")
    assert (train.schedule, train.lr_floor, train.warmup_epochs) == ("exponential", 0.1, 0.0)
    assert config.split.model_dump() == {"train": 0.70, "val": 0.15, "test": 0.15, "seed": 42}
    assert config.submission.form == "full"
    assert config.submission.ensemble == "nano"


def test_domains_are_told_apart_where_there_are_several() -> None:
    raw = read("challenge_grizy.yaml")
    raw["data"]["labelled"] = {name: path for name, path in raw["data"]["labelled"].items() if "hsc" in name}
    with pytest.raises(
        InputError, match=r"train\.domain_weight: found 0\.3, but all buckets are of domain hsc"
    ):
        check_config(raw, "c.yaml")
    # What a column of the table says is not known before it is read.
    bucket = {"path": "/d", "label": "lens", "columns": {"domain": "survey"}}
    raw["data"]["labelled"]["zoo"] = bucket
    assert check_config(raw, "c.yaml").models["grizy"].train.domain_weight == 0.3


@pytest.mark.parametrize(("pad_to_px", "crop_px", "side_px"), [(None, 41, 41), (48, 48, 48)])
def test_crops_are_smaller_than_images(pad_to_px: int | None, crop_px: int, side_px: int) -> None:
    raw = read("challenge_grizy.yaml")
    model = raw["models"]["grizy"]
    model["preprocess"]["pad_to_px"] = pad_to_px
    model["train"]["crop_px"] = crop_px - 1
    check_config(raw, "c.yaml")
    model["train"]["crop_px"] = crop_px
    with pytest.raises(
        InputError, match=rf"train\.crop_px: found {crop_px}, expected less than the {side_px} pixels"
    ):
        check_config(raw, "c.yaml")


def test_the_recipe_for_five_bands_has_the_data_of_the_challenge() -> None:
    config = check_config(read("challenge_grizy.yaml"), "challenge_grizy.yaml")
    single = check_config(read("challenge.yaml"), "challenge.yaml")
    assert (config.data, config.testsets, config.split) == (single.data, single.testsets, single.split)
    assert config.members("grizy") == [("grizy", seed) for seed in (42, 101, 202, 303, 404)]
    member = config.member_settings("grizy", 42)
    assert member.bands == config.data.bands
    # As measured, docs/EXPERIMENTS.md.
    assert (member.preprocess.normalisation, member.preprocess.asinh_softening_in_noise) == ("asinh", 12)
    assert (member.network.name, member.train.optimiser) == ("cutout_resnet", "muon")
    assert member.network.timm == {"widths": [64, 128, 256]}
    assert (member.train.lr, member.train.weight_decay) == (3e-3, 0.05)
    assert (member.train.domain_weight, member.train.crop_px, member.train.epochs) == (0.3, 29, 56)
    assert member.lens_parameters is not None
    assert config.models["grizy"].predict.test_time_augmentation
    assert "not measured on the challenge's data" in (CONFIG_FOLDER / "challenge_grizy.yaml").read_text()


def test_softenings_are_of_bands_of_the_data() -> None:
    raw = small(("models.nano.preprocess.asinh_softening_of_band", {"g": 0.1, "u": 0.2}))
    assert only_problem(raw) == (
        "models.nano.preprocess.asinh_softening_of_band: found u, "
        "expected bands of data.bands: [g, r, i, z, y]"
    )


@pytest.mark.parametrize("key", ["train.skip_incomplete", "train.band_dropout"])
def test_what_needs_a_stack_is_refused_without_one(key: str) -> None:
    value = 0.1 if key == "train.band_dropout" else True
    line = only_problem(small((f"models.nano.{key}", value)))
    assert line == f"models.nano: {key}: expected a stack of bands; for example bands: [g, r, i, z, y]"
    stacked = small(("models.nano.bands", ["g", "r"]), (f"models.nano.{key}", value))
    assert check_config(stacked, "my.yaml").member_settings("nano", 42).bands == ["g", "r"]


def test_the_default_is_small_and_simulated() -> None:
    config = check_config(read("config.yaml"), "config.yaml")
    assert config.simulate is not None
    assert config.members("atto") == [("atto", seed) for seed in (42, 101, 202, 303, 404)]
    assert config.member_settings("atto", 42).network.name == "convnextv2_atto"
    assert config.member_settings("atto", 42).bands == "each"
    assert check_sources(config) == []


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_meet_the_schema(name: str) -> None:
    schema = json.loads((CONFIG_FOLDER / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(read(name))
    with pytest.raises(jsonschema.ValidationError, match="tags"):
        jsonschema.Draft202012Validator(schema).validate({**read(name), "tags": {}})


@pytest.mark.parametrize("written", ["1e-3", "1.0e-3", ".001", "0.001"])
def test_numbers_as_yaml_gives_them(written: str) -> None:
    # PyYAML reads 1e-3 as text.
    raw = yaml.safe_load(SMALL.replace("3.5e-4", written))
    assert check_config(raw, "my.yaml").member_settings("nano", 42).train.lr == 0.001


def test_the_order_of_keys_means_nothing() -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(inner) for key, inner in reversed(value.items())}
        return value

    one, other = check_config(small(), "a"), check_config(turned(small()), "b")
    for model, seed in one.members("hybrid"):
        assert one.member_settings(model, seed) == other.member_settings(model, seed)


def test_members_are_the_seeds_of_all_models_of_an_ensemble() -> None:
    config = check_config(small(), "my.yaml")
    assert config.members("hybrid") == [("stack", 7), ("nano", 42), ("nano", 101)]


def test_checkpoints_are_members() -> None:
    raw = small(
        ("models.old", {"checkpoints": {"42": "/w/a.pt", 7: "/w/b.pt"}}),
        ("ensembles.old", {"models": ["old"]}),
    )
    config = check_config(raw, "my.yaml")
    assert config.members("old") == [("old", 42), ("old", 7)]
    assert config.models["old"].checkpoints == {42: "/w/a.pt", 7: "/w/b.pt"}


# Precedence: class default < model < seed_overrides


def override(own: Any) -> MemberSettings:
    raw = small(("models.nano.seed_overrides", {101: own}))
    config = check_config(raw, "my.yaml")
    assert config.member_settings("nano", 42) == check_config(small(), "x").member_settings("nano", 42)
    return config.member_settings("nano", 101)


def test_an_override_changes_what_it_names_and_nothing_else() -> None:
    plain = check_config(small(), "x").member_settings("nano", 101)
    member = override({"train": {"lr": "1e-4"}})
    assert member.train.lr == 1e-4
    assert member.train.epochs == 80
    assert member.train.batch_size == MemberSettings().train.batch_size
    expected = plain.model_dump()
    expected["train"]["lr"] = 1e-4
    assert member.model_dump() == expected
    assert type(member) is type(plain) is MemberSettings


def test_an_override_may_name_the_network_for_short() -> None:
    member = override({"network": "convnextv2_tiny"})
    assert (member.network.name, member.network.drop_path) == ("convnextv2_tiny", 0.05)


def test_an_override_of_a_block_that_the_model_names_for_short() -> None:
    raw = small(("models.stack.seed_overrides", {7: {"network": {"drop_path": 0.2}, "bands": "each"}}))
    member = check_config(raw, "my.yaml").member_settings("stack", 7)
    assert (member.network.name, member.network.drop_path) == ("convnextv2_atto", 0.2)
    assert member.bands == "each"


def test_an_override_is_checked_with_the_model_it_belongs_to() -> None:
    # Warming up for 30 of the model's 80 epochs is right, though the class default is 20 epochs.
    assert override({"train": {"warmup_epochs": 30}}).train.warmup_epochs == 30
    raw = small(("models.nano.seed_overrides", {101: {"train": {"warmup_epochs": 90}}}))
    assert only_problem(raw) == (
        "models.nano.seed_overrides.101.train: warmup_epochs (90.0) must be less than epochs (80)"
    )


def test_a_seed_that_is_not_listed_has_the_settings_of_its_model() -> None:
    config = check_config(small(), "my.yaml")
    assert config.member_settings("nano", 999) == config.member_settings("nano", 42)


def test_the_raw_config_is_left_alone() -> None:
    raw = small(("models.nano.seed_overrides", {101: {"network": "convnextv2_tiny"}}))
    before = copy.deepcopy(raw)
    check_config(raw, "my.yaml")
    assert raw == before


# What is wrong


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        (
            "models.nano.train.lr",
            "fast",
            'models.nano.train.lr: found "fast", expected a number; for example lr: 0.00035',
        ),
        (
            "models.nano.train.batch_size",
            0,
            "models.nano.train.batch_size: found 0, expected greater than or equal to 1; "
            "for example batch_size: 128",
        ),
        (
            "models.nano.train.schedule",
            "exp",
            'models.nano.train.schedule: found "exp", expected '
            "'constant', 'cosine', 'step', 'exponential' or 'plateau'; for example schedule: exponential",
        ),
        (
            "models.nano.bands",
            "all",
            "models.nano.bands: found \"all\", expected 'each' or a list; for example bands: [g, r, i, z, y]",
        ),
        (
            "models.nano.train.lr",
            True,
            "models.nano.train.lr: found true, expected something else than true or false; "
            "for example lr: 0.00035",
        ),
        (
            "models.nano.network.name",
            "convnextv2_nanoo",
            "models.nano.network.name: found convnextv2_nanoo, expected the name of a network in timm; "
            "did you mean convnextv2_nano?",
        ),
        (
            "evaluation.magnitude_band",
            "q",
            "evaluation.magnitude_band: found q, expected a band of data.bands: [g, r, i, z, y]",
        ),
        ("models.nano.train.epocs", 3, "models.nano.train.epocs: unknown key; did you mean epochs?"),
        (
            "models.nano.queue",
            "gpu",
            "models.nano.queue: unknown key; known keys here: network, bands, domains, preprocess, train, "
            "lens_parameters, init_from, distil_from, distil_on, seeds, checkpoints, seed_overrides, predict",
        ),
        (
            "models.nano.train",
            3,
            "models.nano.train: found 3, expected a block of keys",
        ),
        (
            "models.nano.seed_overrides",
            {101: {"train": {"lr": -1}}},
            "models.nano.seed_overrides.101.train.lr: found -1, expected greater than 0; "
            "for example lr: 0.00035",
        ),
        (
            "models.nano.seed_overrides",
            {101: {"train": {"lrr": 1}}},
            "models.nano.seed_overrides.101.train.lrr: unknown key; did you mean lr?",
        ),
        (
            "models.nano.seed_overrides",
            {101: 3},
            "models.nano.seed_overrides.101: found 3, expected a block of keys; "
            "for example seed_overrides: {101: {train: {lr: 1e-4}}}",
        ),
        (
            "models.nano.seed_overrides",
            {102: {}, 103: {}},
            "models.nano: seed_overrides: found 102, 103, expected seeds of the model; for example 42",
        ),
        (
            "models.nano.seeds",
            [42, 42, 7],
            "models.nano.seeds: found 42 more than once; for example seeds: [42, 101, 202, 303, 404]",
        ),
        (
            "models.nano.seeds",
            [],
            "models.nano: give either seeds, to train, or checkpoints, trained already; "
            "for example seeds: [42, 101, 202, 303, 404]",
        ),
        (
            "models.nano.checkpoints",
            {42: "a.pt"},
            "models.nano: give either seeds, to train, or checkpoints, trained already; "
            "for example seeds: [42, 101, 202, 303, 404]",
        ),
        (
            "models.nano.bands",
            ["g", "q", "w"],
            "models.nano.bands: found q, w, expected bands of data.bands: [g, r, i, z, y]",
        ),
        (
            "models.nano.preprocess",
            {"pad_to_px": 40},
            "models.nano.preprocess.pad_to_px: found 40, expected data.size_px (41) or more",
        ),
        (
            "models.nano.preprocess",
            {"psf_input_fwhm_px": {"hcs": 3.6}},
            "models.nano.preprocess.psf_input_fwhm_px: found hcs, expected the name of a domain of a bucket; "
            "did you mean hsc?",
        ),
        (
            "ensembles.nano.models",
            ["nan"],
            "ensembles.nano.models: found nan, expected the name of a model; did you mean nano?",
        ),
        (
            "ensembles.nano.models",
            ["nano", "nano"],
            "ensembles.nano.models: found a model twice: nano, nano",
        ),
        (
            "ensembles.hybrid.level",
            "file",
            "ensembles.hybrid.level: found file, but stack stacks an object's bands and says nothing "
            "of files; for example level: object",
        ),
        (
            "ensembles.nano.sky_prevalence",
            1e-4,
            "ensembles.nano.sky_prevalence: found 0.0001, but only calibrated probabilities can be corrected "
            "for it, and calibration is off; for example calibration: temperature",
        ),
        (
            "submission.ensemble",
            "atto",
            "submission.ensemble: found atto, expected the name of an ensemble; the config has nano, hybrid",
        ),
        (
            "submission.testset",
            "challeng",
            "submission.testset: found challeng, expected the name of a test set; did you mean challenge?",
        ),
        ("testsets.heldout", {"path": "t"}, "testsets.heldout: heldout is the name of other results"),
        ("testsets.val", {"path": "t"}, "testsets.val: val is the name of other results"),
        ("testsets.labelled", {"path": "t"}, "testsets.labelled: labelled is the name of other results"),
        (
            "testsets.blind",
            {},
            "testsets.blind: give either path or buckets; for example path: /data/test_dataset_updated",
        ),
        (
            "simulate",
            {},
            "simulate: the simulator writes to results/simulated, but no data are taken from there; "
            "remove this block to use your own",
        ),
        (
            "testsets.challenge.path",
            "results/simulated/test_dataset_updated",
            "testsets.challenge.path: found results/simulated/test_dataset_updated, "
            "which the simulator makes, but there is no block simulate; for example simulate: {}",
        ),
        (
            "split.train",
            0.8,
            "split: train + val + test must be 1, found 1.1; for example train: 0.70, val: 0.15, test: 0.15",
        ),
    ],
)
def test_a_wrong_setting_is_explained(place: str, value: Any, line: str) -> None:
    assert only_problem(small((place, value))) == line


def test_a_prevalence_of_the_sky_with_a_calibration() -> None:
    raw = small(("ensembles.nano.sky_prevalence", 1e-4), ("ensembles.nano.calibration", "platt"))
    assert check_config(raw, "my.yaml").ensembles["nano"].sky_prevalence == 1e-4


def test_the_names_of_networks_are_those_that_timm_knows() -> None:
    import timm

    assert timm_names() == {name.partition(".")[0] for name in timm.list_models()} | {"cutout_resnet"}


@pytest.mark.parametrize("name", ["na-no", "1nano", "na no", "näno", "", "_nano", "nano/"])
@pytest.mark.parametrize("kind", ["models", "ensembles", "testsets"])
def test_names_make_safe_paths(kind: str, name: str) -> None:
    raw = small()
    raw[kind][name] = next(iter(raw[kind].values()))
    assert "[A-Za-z][A-Za-z0-9_]*" in only_problem(raw)


@pytest.mark.parametrize("key", ["data", "testsets", "models", "ensembles", "submission"])
def test_a_missing_block_is_shown_by_example(key: str) -> None:
    raw = small()
    del raw[key]
    line = only_problem(raw)
    assert line.startswith(f"{key}: missing; it has no default; for example {key}: {{")
    example = yaml.safe_load(line.partition("for example ")[2])
    assert list(example) == [key]
    schema = json.loads(config_schema())
    part = {"$defs": schema["$defs"], **schema["properties"][key]}
    jsonschema.Draft202012Validator(part).validate(example[key])


OWN_BUCKETS = {
    "z_lenses": {"path": "/data/1", "label": "lens", "domain": "euclid"},
    "grade_c": {"path": "/data/2", "label": "nonlens", "domain": "des_y6"},
    "galaxies": {"path": "/data/3", "label": "nonlens", "domain": "euclid"},
}


def test_buckets_of_any_number_and_name() -> None:
    config = check_config(small(("data.labelled", OWN_BUCKETS)), "my.yaml")
    packed = PackSettings.of_labelled(config.data)
    assert list(packed.sources) == ["galaxies", "grade_c", "z_lenses"]  # whatever the order of keys
    assert config.domains == ["euclid", "des_y6"]
    assert config.transfer_of_domains is None
    assert PackSettings.model_validate(packed.model_dump(mode="json")) == packed


def test_the_short_form_has_the_parameters_that_it_always_had() -> None:
    """Existing results are packed with these, byte for byte: another text would pack all of them anew."""
    raw = small()
    config = check_config(raw, "my.yaml")
    assert PackSettings.of_labelled(config.data).model_dump(mode="json") == {
        "size_px": 41,
        "bands": ["g", "r", "i", "z", "y"],
        "max_rejected": 0.01,
        "non_finite": "reject",
        "dataset": "labelled",
        "labelled": raw["data"]["labelled"],
        "path": None,
        "buckets": None,
    }
    assert config.domains == ["slsim", "hsc"]
    assert config.transfer_of_domains == TransferSettings(train_on=["slsim"], test_on=["hsc"])


@pytest.mark.parametrize(
    ("labelled", "text"),
    [
        ({"lenses": "/data/1"}, "bucket lenses has no label and no domain"),
        ({"lenses": {"path": "/data/1", "label": "lens"}}, "for example lenses: {path: /data/1, label: lens"),
        ({"z_lenses": OWN_BUCKETS["z_lenses"]}, "found none with label nonlens"),
    ],
)
def test_buckets_say_what_they_are(labelled: dict[str, Any], text: str) -> None:
    found = only_problem(small(("data.labelled", labelled)))
    assert found.startswith("data: ")
    assert text in found


def test_domains_are_those_of_the_buckets() -> None:
    raw = small(
        ("data.labelled", OWN_BUCKETS),
        ("models.nano.domains", ["euclid", "des_y5"]),
        ("transfer", {"train_on": ["euclid"], "test_on": ["hsc"]}),
    )
    assert problems(raw) == [
        "models.nano.domains: found des_y5, expected the name of a domain of a bucket; did you mean des_y6?",
        "transfer.test_on: found hsc, expected the name of a domain of a bucket; "
        "the config has euclid, des_y6",
    ]


def test_all_problems_are_told_at_once() -> None:
    raw = small(
        ("models.nano.train.lr", "x"), ("threshold.method", "best"), ("splits", {}), ("data.size_px", 2)
    )
    assert [line.split(":")[0] for line in problems(raw)] == [
        "data.size_px",
        "models.nano.train.lr",
        "threshold.method",
        "splits",
    ]
    raw = small(("submission.ensemble", "x"), ("ensembles.nano.models", ["y"]), ("models.nano.bands", ["q"]))
    assert [line.split(":")[0] for line in problems(raw)] == [
        "ensembles.nano.models",
        "submission.ensemble",
        "models.nano.bands",
    ]


def test_a_fault_of_a_model_is_not_told_again_for_its_seeds() -> None:
    raw = small(
        ("models.nano.train.lr", "x"), ("models.nano.seed_overrides", {101: {"train": {"epochs": 0}}})
    )
    assert [line.split(":")[0] for line in problems(raw)] == [
        "models.nano.train.lr",
        "models.nano.seed_overrides.101.train.epochs",
    ]


@pytest.mark.parametrize("name", ["each", "int", "str", "list", "dict"])
def test_names_that_are_words_of_python(name: str) -> None:
    raw = small((f"models.{name}", {"seeds": [1], "train": {"lr": "x"}}))
    assert only_problem(raw).startswith(f"models.{name}.train.lr: ")


def test_one_folder_for_two_buckets() -> None:
    lines = problems(small(("data.labelled.hsc_lenses", "a/")))
    assert lines == [
        "data.labelled.slsim_lenses: found a, which is hsc_lenses too",
        "data.labelled.hsc_lenses: found a/, which is slsim_lenses too",
    ]


@pytest.mark.parametrize("raw", [{}, None, [], "text", 3])
def test_no_config_at_all(raw: Any) -> None:
    assert problems(raw)


def test_keys_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(SMALL.replace("    seeds: [42, 101]", "    seeds: [42]\n    seeds: [42, 101]"))
    with pytest.raises(InputError) as caught:
        check_config(yaml.safe_load(path.read_text()), str(path))
    assert str(caught.value) == f"{path}: models.nano.seeds: given twice, in lines 9 and 10"
    path.write_text(SMALL)
    check_config(yaml.safe_load(path.read_text()), str(path))


@pytest.mark.parametrize(
    ("written", "line", "advice"),
    [
        ("seeds: [042]", "models.nano.seeds.0: line 9", "write 42, or '042'"),
        ("seeds: [101, 089]", "models.nano.seeds.1: line 9", "write 89, or '089'"),
        ("seeds: [-042]", "models.nano.seeds.0: line 9", "write -42, or"),
        ("seeds: [0o52]", "models.nano.seeds.0: line 9", "write or '0o52'"),
        ("seeds: [0x2A]", "models.nano.seeds.0: line 9", "'0x2A' if it is text"),
        ("seeds: [0b101]", "models.nano.seeds.0: line 9", "'0b101' if it is text"),
        ("seeds: [1_000]", "models.nano.seeds.0: line 9", "write 1000, or"),
        ("seeds: [1:30]", "models.nano.seeds.0: line 9", "'1:30' if it is text"),
        ("seeds: [42]\n    train: {lr: 01e-3}", "models.nano.train.lr: line 10", "write 1e-3, or"),
        ("seeds: [42]\n    train: {lr: 00.1}", "models.nano.train.lr: line 10", "write 0.1, or"),
        ("seeds: [42]\n    train: {lr: 1:30.5}", "models.nano.train.lr: line 10", "'1:30.5' if it is text"),
        ("seeds: [42]\n    seed_overrides: {042: {}}", "models.nano.seed_overrides.042: line 10", "write 42"),
    ],
)
def test_numbers_that_yaml_takes_for_others_are_refused(
    tmp_path: Path, written: str, line: str, advice: str
) -> None:
    """`seeds: [042]` trained seed 34."""
    path = tmp_path / "my.yaml"
    text = SMALL.replace("seeds: [42, 101]", written)
    text = "\n".join(row for row in text.splitlines() if "train: {" not in row or row in written.splitlines())
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        check_config(yaml.safe_load(text), str(path))
    assert f"{path}: {line}: expected a plain decimal number, found " in str(caught.value)
    assert advice in str(caught.value)


# Where the data lie


@pytest.fixture
def on_disk(tmp_path: Path) -> dict[str, Any]:
    """A config whose data are there."""
    labelled = {bucket: str(tmp_path / bucket) for bucket in BUCKETS}
    for bucket in BUCKETS:
        # One level down, as unpacked, beside files that are no cutouts.
        (tmp_path / bucket / bucket).mkdir(parents=True)
        (tmp_path / bucket / "parameters.fits").touch()
        (tmp_path / bucket / bucket / "D1_L_0_g.fits").touch()
    (tmp_path / "blind").mkdir()
    (tmp_path / "blind" / "object_00000_g.fits").touch()
    return small(("data.labelled", labelled), ("testsets.challenge.path", str(tmp_path / "blind")))


def sources(raw: Any) -> list[str]:
    return check_sources(check_config(raw, "my.yaml"))


def test_data_that_are_there(on_disk: dict[str, Any]) -> None:
    assert sources(on_disk) == []


def test_tiles_and_their_catalogue_are_looked_for(on_disk: dict[str, Any], tmp_path: Path) -> None:
    tiles = {"images": f"{tmp_path}/tiles/{{tile}}_{{band}}.fits", "id": "id", "ra": "ra", "dec": "dec"}
    on_disk["testsets"]["challenge"] = {"tiles": tiles | {"catalogue": f"{tmp_path}/objects.csv"}}
    (problem,) = sources(on_disk)
    assert problem.startswith(f"testsets.challenge.path: {tmp_path}/tiles/{{tile}}_g.fits: expected images")
    (tmp_path / "tiles").mkdir()
    for band in "grizy":
        (tmp_path / "tiles" / f"t1_{band}.fits").touch()
    (problem,) = sources(on_disk)
    assert problem.endswith("objects.csv: expected a catalogue, found no file")
    (tmp_path / "objects.csv").write_text("id,ra,dec\na,150.0,2.0\n")
    assert sources(on_disk) == []


def test_tiles_that_are_not_given_leave_no_trace_in_the_settings_of_a_step(tmp_path: Path) -> None:
    """Else data that were packed before tiles were a source would be packed again."""
    assert "tiles" not in PackSettings(path=str(tmp_path)).model_dump(mode="json")


def test_missing_and_empty_folders(on_disk: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "slsim_lenses" / "slsim_lenses" / "D1_L_0_g.fits").unlink()
    on_disk["data"]["labelled"]["hsc_nonlenses"] = "/nowhere"
    (tmp_path / "blind" / "object_00000_g.fits").unlink()
    first, second, third = sources(on_disk)
    assert first == (
        "data.labelled.hsc_nonlenses: /nowhere: expected a folder of FITS files or a list file, "
        "but it does not exist"
    )
    assert second == (
        f"data.labelled.slsim_lenses: {tmp_path}/slsim_lenses: expected FITS cutouts "
        "(names such as D1_L_00000000_g.fits), found none"
    )
    assert third.startswith(f"testsets.challenge.path: {tmp_path}/blind: expected FITS cutouts")


def test_list_files(on_disk: dict[str, Any], tmp_path: Path) -> None:
    listed = tmp_path / "blind.txt"
    on_disk["testsets"]["challenge"]["path"] = str(listed)
    assert sources(on_disk)[0].startswith(f"testsets.challenge.path: {listed}: expected a folder")
    listed.write_text("blind/object_00000_g.fits\n")
    assert sources(on_disk) == []
    listed.write_text("blind/object_00000_g.fits\n\nblind/object_00001_g.fits\n")
    assert sources(on_disk) == [
        f"testsets.challenge.path: {listed}: expected a file in every line, found none for line 3: "
        f"{tmp_path.resolve()}/blind/object_00001_g.fits"
    ]
    listed.write_text("")
    assert "expected FITS cutouts" in sources(on_disk)[0]


def test_four_folders_of_a_test_set(on_disk: dict[str, Any], tmp_path: Path) -> None:
    buckets = {bucket: str(tmp_path / "four" / bucket) for bucket in BUCKETS}
    for folder in buckets.values():
        Path(folder).mkdir(parents=True)
    on_disk["testsets"]["challenge"] = {"buckets": buckets}
    assert [line.split(":")[0] for line in sources(on_disk)] == [
        f"testsets.challenge.buckets.{bucket}" for bucket in BUCKETS
    ]
    # Spread by name, some may be empty.
    (tmp_path / "four" / "hsc_lenses" / "object_00000_g.fits").touch()
    assert sources(on_disk) == []
    Path(buckets["slsim_lenses"]).rmdir()
    assert [line.split(":")[0] for line in sources(on_disk)] == ["testsets.challenge.buckets.slsim_lenses"]
    # Where they carry labels, each must hold something.
    on_disk["testsets"]["challenge"]["labelled"] = True
    assert [line.split(":")[0] for line in sources(on_disk)] == [
        f"testsets.challenge.buckets.{bucket}" for bucket in BUCKETS if bucket != "hsc_lenses"
    ]


def test_weights_that_are_missing(on_disk: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.pt").touch()
    checkpoints = {1: str(tmp_path / "a.pt"), 2: str(tmp_path / "b.pt")}
    on_disk["models"]["old"] = {"checkpoints": checkpoints}
    assert sources(on_disk) == [
        f"models.old.checkpoints.2: {tmp_path}/b.pt: expected a file with weights, but it does not exist"
    ]


def test_simulated_data_may_be_missing(on_disk: dict[str, Any]) -> None:
    on_disk["simulate"] = {}
    on_disk["testsets"]["challenge"]["path"] = "results/simulated/test_dataset_updated"
    assert sources(on_disk) == []


# The description
