"""Weights from which training begins: encoders of others, capsules, checkpoints."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import Tensor, nn

from capsule_files import SMALL, write_run
from packed_files import write_packed, write_splits
from stronglens.formats.artefact import read_json, sha256_of
from stronglens.formats.member_files import write_member
from stronglens.networks.network import build_network
from stronglens.networks.starting import start, with_known_start
from stronglens.running.errors import InputError
from stronglens.settings.member import MemberSettings
from stronglens.training.train_member import train_member

ARCHITECTURE = "convnext_atto"


def save_encoder(
    folder: Path, *, in_chans: int = 1, num_classes: int = 0, seed: int = 5
) -> dict[str, Tensor]:
    """A folder as timm's `save_for_hf` writes it, with a licence."""
    torch.manual_seed(seed)
    network = timm.create_model(ARCHITECTURE, in_chans=in_chans, num_classes=num_classes)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.05)
    folder.mkdir(exist_ok=True, parents=True)
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    described = {
        "architecture": ARCHITECTURE,
        "num_classes": num_classes,
        "pretrained_cfg": {"license": "mit"},
    }
    (folder / "config.json").write_text(json.dumps(described))
    (folder / "README.md").write_text("---\nlicense: apache-2.0\ntags: [galaxies]\n---\n# An encoder\n")
    return weights


def member(folder: Path | str, bands: Any = "each", **network: Any) -> MemberSettings:
    given = {"network": {"name": ARCHITECTURE, "weights": str(folder), **network}, "bands": bands}
    return MemberSettings.model_validate(given)


def started(settings: MemberSettings) -> nn.Module:
    known = with_known_start(settings, 0)
    torch.manual_seed(1)
    network = build_network(known.network, known.in_chans, 41)
    start(network, known)
    return network


def test_an_encoder_gives_all_weights_but_the_last_layer(tmp_path: Path) -> None:
    theirs = save_encoder(tmp_path)
    own = started(member(tmp_path)).state_dict()
    for name, tensor in theirs.items():
        torch.testing.assert_close(own[name].flatten(), tensor.flatten(), rtol=0, atol=0)
    assert {*own} - {*theirs} == {"head.fc.weight", "head.fc.bias"}
    torch.manual_seed(1)
    fresh = build_network(member(tmp_path).network, 1, 41).state_dict()
    assert torch.equal(own["head.fc.weight"], fresh["head.fc.weight"])


def test_a_head_of_theirs_is_left_and_features_are_timms(tmp_path: Path) -> None:
    save_encoder(tmp_path, in_chans=3, num_classes=7)
    network = started(member(tmp_path, ["g", "r", "i"])).eval()
    theirs = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, in_chans=3).eval()
    images = torch.randn(2, 3, 41, 41, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(
            network.forward_features(images), theirs.forward_features(images), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize(("channels", "bands"), [(1, list("grizy")), (3, "each"), (3, list("grizy"))])
def test_an_image_that_is_the_same_in_all_bands_gives_the_same(
    tmp_path: Path, channels: int, bands: Any
) -> None:
    theirs = save_encoder(tmp_path, in_chans=channels)
    network = started(member(tmp_path, bands)).eval()
    grey = torch.randn(2, 1, 41, 41, generator=torch.Generator().manual_seed(0))
    same = timm.create_model(ARCHITECTURE, in_chans=channels, num_classes=0).eval()
    same.load_state_dict(theirs)
    own_channels = 1 if bands == "each" else len(bands)
    with torch.inference_mode():
        torch.testing.assert_close(
            network.forward_features(grey.expand(-1, own_channels, -1, -1)),
            same.forward_features(grey.expand(-1, channels, -1, -1)),
            rtol=1e-4,
            atol=1e-5,
        )


def test_records_say_which_file_and_licence_it_was(tmp_path: Path) -> None:
    save_encoder(tmp_path)
    known = with_known_start(member(tmp_path), 0).network
    assert known.weights_sha256 == sha256_of(tmp_path / "model.safetensors")
    assert known.weights_licence == "apache-2.0"
    (tmp_path / "README.md").unlink()
    assert with_known_start(member(tmp_path), 0).network.weights_licence == "mit"
    alone = with_known_start(member(tmp_path / "model.safetensors"), 0).network
    assert alone.weights_licence == "not stated"
    assert with_known_start(member(tmp_path, weights_licence="CC0"), 0).network.weights_licence == "CC0"


def test_other_weights_are_refused(tmp_path: Path) -> None:
    save_encoder(tmp_path)
    with pytest.raises(InputError, match=r"as network.weights_sha256 states, found"):
        with_known_start(member(tmp_path, weights_sha256="0" * 64), 0)
    known = with_known_start(member(tmp_path), 0)
    network = build_network(known.network, 1, 41)
    save_encoder(tmp_path, seed=6)
    with pytest.raises(InputError, match="another file"):
        start(network, known)
    with pytest.raises(
        InputError, match=r"found those of 'convnext_atto'; write network: \{name: convnext_atto"
    ):
        with_known_start(member(tmp_path, name="convnextv2_atto"), 0)
    with pytest.raises(
        InputError, match=r"model.safetensors: expected weights of convnextv2_atto; missing are"
    ):
        started(member(tmp_path / "model.safetensors", name="convnextv2_atto"))
    with pytest.raises(InputError, match="expected a file of safetensors or a folder, found none"):
        with_known_start(member(tmp_path / "nothing"), 0)
    torch.save({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="expected safetensors, found something else"):
        started(member(tmp_path))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A hub of one repository, `org/encoder`, that takes down what it is asked for."""
    commit = "a" * 40
    folder = tmp_path / "hub" / commit
    save_encoder(folder)
    asked: dict[str, list[str]] = {"files": []}

    def download(repository: str, name: str, revision: str | None = None) -> str:
        if repository != "org/encoder" or revision not in (None, "main", commit):
            raise LocalEntryNotFoundError("Cannot find the requested files in the disk cache\nand so on")
        asked["files"].append(f"{name}@{revision}")
        return str(folder / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    return asked


def test_a_repository_of_the_hub_says_its_network(hub: dict[str, list[str]]) -> None:
    settings = MemberSettings.model_validate({"network": "hf_hub:org/encoder"})
    known = with_known_start(settings, 0)
    assert known.network.name == ARCHITECTURE
    assert known.network.weights == f"hf_hub:org/encoder@{'a' * 40}"
    assert known.network.weights_licence == "apache-2.0"
    start(build_network(known.network, 1, 41), known)
    assert hub["files"][-1] == f"README.md@{'a' * 40}"
    assert not any("bin" in name for name in hub["files"])


def test_without_a_network_the_hub_is_told_in_a_line(hub: dict[str, list[str]]) -> None:
    settings = MemberSettings.model_validate(
        {"network": "hf_hub:mwalmsley/zoobot-encoder-greyscale-convnext_nano"}
    )
    with pytest.raises(InputError, match="found no way to them from this machine: Cannot find") as error:
        with_known_start(settings, 0)
    assert "hf download mwalmsley/zoobot-encoder-greyscale-convnext_nano --local-dir FOLDER" in str(
        error.value
    )
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="was not looked up"):
        build_network(settings.network, 1, 41)


@pytest.mark.parametrize(
    "wrong",
    [
        {"network": "hf_hub:nobody"},
        {"network": "hf_hub:a/b/c"},
        {"network": "../folder"},
        {"network": {"name": "hf_hub:a/b", "weights": "w"}},
        {"network": {"name": ARCHITECTURE, "weights": "w", "pretrained": True}},
        {"network": {"name": ARCHITECTURE, "weights_sha256": "0" * 64}},
        {"network": {"name": ARCHITECTURE, "weights": "w"}, "init_from": "c.capsule"},
    ],
)
def test_one_start_is_named_rightly(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"weights|pattern"):
        MemberSettings.model_validate(wrong)


def test_settings_without_a_start_are_recorded_as_before() -> None:
    recorded = MemberSettings().model_dump(mode="json")
    assert not {"weights", "weights_sha256", "weights_licence"} & {*recorded["network"]}
    assert "init_from" not in recorded
    assert "layer_decay" not in recorded["train"]


TRAIN = {"epochs": 1, "batch_size": 32, "patience": None}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_splits(folder / "splits", write_packed(folder / "packed", bands="gr"))
    return folder


def trained(data: Path, out: Path, settings: dict[str, Any], seed: int = 1) -> dict[str, Tensor]:
    given = MemberSettings.model_validate({"train": TRAIN, **settings})
    train_member(
        data / "packed",
        data / "splits",
        out,
        given,
        model="m",
        seed=seed,
        device_name="cpu",
        compile_choice="never",
    )
    weights: dict[str, Tensor] = torch.load(out / "last.pt", weights_only=True)
    return weights


def test_a_frozen_encoder_keeps_its_weights_and_the_head_learns(data: Path, tmp_path: Path) -> None:
    theirs = save_encoder(tmp_path / "encoder")
    network = {"name": ARCHITECTURE, "weights": f"{tmp_path}/encoder"}
    settings = {"network": network, "train": TRAIN | {"layer_decay": 0.0}}
    own = trained(data, tmp_path / "out", settings)
    for name, tensor in theirs.items():
        assert torch.equal(own[name].flatten(), tensor.flatten()) != name.startswith("head."), name
    free = trained(data, tmp_path / "free", {"network": network})
    assert not torch.equal(free["stem.0.weight"], theirs["stem.0.weight"])
    fresh = build_network(MemberSettings.model_validate(settings).network, 1, 33)
    assert not torch.equal(own["head.fc.weight"], fresh.state_dict()["head.fc.weight"])
    recorded = read_json(tmp_path / "out/best.json")["settings"]["network"]
    assert recorded["weights_licence"] == "apache-2.0"
    assert recorded["weights_sha256"] == sha256_of(tmp_path / "encoder/model.safetensors")


def test_training_begins_with_the_weights_of_a_checkpoint(data: Path, tmp_path: Path) -> None:
    first = trained(data, tmp_path / "first", {})
    still = {"train": TRAIN | {"lr": 1e-30, "weight_decay": 0.0}}
    again = trained(data, tmp_path / "again", still | {"init_from": f"{tmp_path}/first/last.pt"}, seed=2)
    assert all(torch.equal(again[name], tensor) for name, tensor in first.items())
    recorded = read_json(tmp_path / "again/best.json")["settings"]["init_from"]
    assert recorded == {
        "path": f"{tmp_path}/first/last.pt",
        "sha256": sha256_of(tmp_path / "first/last.pt"),
        "member": None,
    }
    with pytest.raises(InputError, match=r'best.pt: expected bands \["g", "r"\], found "each"'):
        trained(data, tmp_path / "no", {"bands": ["g", "r"], "init_from": f"{tmp_path}/first/best.pt"})
    (tmp_path / "alone.pt").write_bytes((tmp_path / "first/last.pt").read_bytes())
    with pytest.raises(
        InputError, match=r"alone.pt: expected weights of convnextv2_atto, stem.0.weight of shape"
    ):
        trained(data, tmp_path / "no", {"bands": ["g", "r"], "init_from": f"{tmp_path}/alone.pt"})
    with pytest.raises(
        InputError, match=r"alone.pt: expected weights of convnextv2_nano; missing are stages"
    ):
        trained(data, tmp_path / "no", {"network": "convnextv2_nano", "init_from": f"{tmp_path}/alone.pt"})
    with pytest.raises(InputError, match=r"init_from\.member names a member of a capsule"):
        trained(
            data, tmp_path / "no", {"init_from": {"path": f"{tmp_path}/first/best.pt", "member": "m seed 1"}}
        )
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    "theirs", [{"targets": ["Rein", "zsrc"]}, {"targets": ["Rein"], "uncertainties": True}]
)
@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_outputs_of_another_meaning_are_refused(name: str, theirs: dict[str, Any], tmp_path: Path) -> None:
    learnt = MemberSettings.model_validate({"network": ARCHITECTURE, "lens_parameters": theirs})
    torch.manual_seed(1)
    weights = build_network(learnt.network, 1, 41, learnt.n_outputs).state_dict()
    described = {"model": "m", "seed": 1, "settings": learnt.model_dump(mode="json"), "imported": True}
    write_member(tmp_path, weights, described | {"size_px": 41, "in_chans": 1})
    (tmp_path / "last.pt").write_bytes((tmp_path / "best.pt").read_bytes() + b"\0")
    own = {"network": ARCHITECTURE, "init_from": f"{tmp_path}/{name}"}
    known = with_known_start(MemberSettings.model_validate(own | {"lens_parameters": theirs}), 1)
    assert known.init_from is not None
    assert known.init_from.sha256 == sha256_of(tmp_path / name)
    other = MemberSettings.model_validate(own | {"lens_parameters": {"targets": ["Rein", "zlens"]}})
    with pytest.raises(InputError, match=rf"{name}: expected lens_parameters.*, found .*training can only"):
        with_known_start(other, 1)


def test_training_begins_with_a_network_of_a_capsule(data: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"one": {"train": TRAIN}, "two": {"bands": ["g", "r"], "train": TRAIN}})
    capsule = tmp_path / "tiny.capsule"
    assert run.make_capsule(capsule) == 0
    still = {"train": TRAIN | {"lr": 1e-30, "weight_decay": 0.0}, "network": SMALL}
    own = trained(data, tmp_path / "out", still | {"init_from": str(capsule)})
    theirs = torch.load(run.member("one") / "best.pt", weights_only=True)
    assert all(torch.equal(own[name], tensor) for name, tensor in theirs.items())
    recorded = read_json(tmp_path / "out/best.json")["settings"]["init_from"]
    assert recorded == {"path": str(capsule), "sha256": sha256_of(capsule), "member": "one seed 42"}
    stacked = MemberSettings.model_validate(still | {"bands": ["g", "r"], "init_from": str(capsule)})
    known = with_known_start(stacked, 3).init_from
    assert known is not None
    assert known.member == "two seed 42"
    named = {"path": str(capsule), "member": "two seed 42"}
    with pytest.raises(
        InputError, match=r'tiny.capsule: two seed 42: expected bands "each", found \["g", "r"\]'
    ):
        trained(data, tmp_path / "no", still | {"init_from": named})
    with pytest.raises(InputError, match="expected three seed 1, found one seed 42, two seed 42"):
        trained(data, tmp_path / "no", still | {"init_from": named | {"member": "three seed 1"}})
    with pytest.raises(InputError, match=r'expected network "convnext_atto", found "convnextv2_atto"'):
        trained(data, tmp_path / "no", still | {"network": ARCHITECTURE, "init_from": str(capsule)})
    content = bytearray(capsule.read_bytes())
    content[2000] ^= 1
    capsule.write_bytes(content)
    with pytest.raises(InputError, match=r"tiny\.capsule"):
        trained(data, tmp_path / "no", still | {"init_from": str(capsule)})
    assert not (tmp_path / "no").exists()
