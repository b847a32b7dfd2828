"""Weights from which a training begins: encoders that others have trained, capsules, checkpoints.

Nothing here runs code that a file may hold: encoders are read from safetensors alone.
"""

import json
import logging
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import load_file
from torch import Tensor, nn

from stronglens.formats.artefact import read_json, sha256_of
from stronglens.formats.capsule import Capsule, CapsuleMember, read_capsule
from stronglens.formats.member_files import DESCRIPTION, LAST_WEIGHTS, MemberDescription, refuse_non_finite
from stronglens.networks.member_import import fitted
from stronglens.networks.original_checkpoint import load_weights, to_timm_state_dict
from stronglens.running.errors import InputError
from stronglens.settings.data import located
from stronglens.settings.member import MemberSettings
from stronglens.settings.network import HUB, NetworkSettings

log = logging.getLogger(__name__)

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
"""Names of files in a folder, or a repository, as timm saves them."""


def with_known_start(settings: MemberSettings, seed: int) -> MemberSettings:
    """The settings of a member with all that is known of the weights it starts from.

    Parameters
    ----------
    settings : MemberSettings
        As given.
    seed : int
        Of the member.

    Returns
    -------
    MemberSettings
        With the SHA-256 of the file, its licence, the network's name in timm and, of a capsule, the member:
        what records hold, and what the network is built from later, without the file and without a hub.

    Raises
    ------
    InputError
        There is no such file, or it is another than the settings state; it is not of this network or of these
        bands; or the hub cannot be reached.
    """
    if settings.init_from is not None:
        return settings.model_copy(update={"init_from": _known_init(settings, seed)})
    network = settings.network
    if network.is_on_hub:
        network = network.model_copy(update={"weights": network.name})
    if network.weights is None:
        return settings
    found = _find(network.weights)
    sha256 = _checked_sha256(found.weights, network.weights_sha256, "network.weights_sha256")
    known: dict[str, Any] = {
        "name": network.name,
        "weights": found.reference,
        "weights_sha256": sha256,
        "weights_licence": network.weights_licence or found.licence or "not stated",
    }
    if found.config is not None:
        architecture = str(found.config.get("architecture", ""))
        if not network.is_on_hub and architecture != network.name.partition(".")[0]:
            raise InputError(
                f"network.weights: {found.reference}: expected weights of {network.name}, found those of "
                f"{architecture!r}; write network: {{name: {architecture}, weights: {network.weights}}}"
            )
        known |= {"name": architecture, "timm": {**_model_args(found), **network.timm}}
    log.info("starting from %s, licence: %s", known["weights"], known["weights_licence"])
    # Not a copy: what a file states is checked like what a user writes.
    checked = NetworkSettings.model_validate({**network.model_dump(), **known})
    return settings.model_copy(update={"network": checked})


def start(network: nn.Module, settings: MemberSettings) -> None:
    """Give a new network the weights that it starts from, if the settings name some.

    Parameters
    ----------
    network : Module
        On the CPU, as `stronglens.networks.network.build_network` makes it.
    settings : MemberSettings
        As `with_known_start` gives them.

    Raises
    ------
    InputError
        The file is gone, was changed, or does not fit the network.
    """
    if settings.init_from is not None:
        path = located(settings.init_from.path)
        _checked_sha256(path, settings.init_from.sha256, "init_from.sha256")
        problem = f"init_from: {path}: expected weights of {settings.network.name}"
        network.load_state_dict(fitted(_init_weights(settings), network.state_dict(), problem))
    elif settings.network.weights is not None:
        found = _find(settings.network.weights)
        _checked_sha256(found.weights, settings.network.weights_sha256, "network.weights_sha256")
        network.load_state_dict(_encoder(found.weights, network, settings))


@dataclass(frozen=True)
class _Found:
    """Where weights of an encoder are, and what is said of them."""

    reference: str
    weights: Path
    config: dict[str, Any] | None
    licence: str | None


def _find(reference: str) -> _Found:
    if re.fullmatch(HUB, reference):
        return _on_hub(reference)
    path = located(reference)
    if path.is_dir():
        weights, config = path / WEIGHTS, path / CONFIG
        if not weights.is_file():
            raise InputError(f"network.weights: {path}: expected {WEIGHTS} in this folder, found none")
        content = read_json(config)
        card = path / CARD
        text = card.read_text(encoding="utf-8") if card.is_file() else ""
        return _Found(reference, weights, content, _licence(content, text))
    if not path.is_file():
        raise InputError(f"network.weights: {path}: expected a file of safetensors or a folder, found none")
    return _Found(reference, path, None, None)


def _on_hub(reference: str) -> _Found:
    """A repository of the hub, from the cache where it is there."""
    # The library loads slowly, and few starts need it.
    from huggingface_hub import hf_hub_download  # noqa: PLC0415

    repository, _, revision = reference.partition(":")[2].partition("@")

    def download(name: str) -> Path:
        return Path(hf_hub_download(repository, name, revision=revision or None))

    try:
        config, weights = download(CONFIG), download(WEIGHTS)
    except Exception as error:  # of many kinds: no network, no repository, no such file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"network: {reference}: expected {CONFIG} and {WEIGHTS} of this repository in the cache or on "
            f"the Hugging Face hub, found no way to them from this machine: {reason}. Jobs may run on nodes "
            f"without network: on a machine with one, `hf download {repository} --local-dir FOLDER`, and "
            "write network: {name: NAME IN TIMM, weights: FOLDER}"
        ) from error
    try:
        text = download(CARD).read_text(encoding="utf-8")
    except Exception:  # noqa: BLE001 - it need not have one
        text = ""
    content = read_json(config)
    # The cache keeps each revision in a folder by its commit.
    commit = config.parent.name if re.fullmatch("[0-9a-f]{40}", config.parent.name) else revision
    known = f"hf_hub:{repository}" + (f"@{commit}" if commit else "")
    return _Found(known, weights, content, _licence(content, text))


def _licence(config: Mapping[str, Any], card: str) -> str | None:
    """What a model card, or else the configuration, states."""
    front = re.match(r"---\n(.*?)\n---", card, re.DOTALL)
    try:
        stated = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError:
        stated = None
    if isinstance(stated, dict) and isinstance(stated.get("license"), str):
        return str(stated["license"])
    pretrained = config.get("pretrained_cfg")
    named = pretrained.get("license") if isinstance(pretrained, dict) else None
    return named if isinstance(named, str) and named else None


def _model_args(found: _Found) -> dict[str, Any]:
    arguments = (found.config or {}).get("model_args", {})
    if not isinstance(arguments, dict):
        raise InputError(f"network.weights: {found.reference}: {CONFIG}: expected model_args as an object")
    # What the pipeline decides, and where weights would come from.
    own = {"in_chans", "num_classes", "drop_path_rate", "head_init_scale", "pretrained"}
    return {key: value for key, value in arguments.items() if key not in own and "pretrained" not in key}


def _checked_sha256(path: Path, expected: str | None, key: str) -> str:
    if not path.is_file():
        raise InputError(f"{path}: expected the weights to start from, found no file")
    found = sha256_of(path)
    if expected is not None and found != expected:
        raise InputError(
            f"{path}: expected sha256 {expected}, as {key} states, found {found}: another file; give that "
            "one back, or correct the setting"
        )
    return found


def _encoder(path: Path, network: nn.Module, settings: MemberSettings) -> dict[str, Tensor]:
    """Weights of a network: those of the file, but for the last layer, which stays as it is."""
    try:
        found = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: expected safetensors, found something else ({error})") from error
    refuse_non_finite(path, found)
    own = dict(network.state_dict())
    classifier = _names_of_classifier(network)
    taken = {name: tensor for name, tensor in found.items() if name not in classifier}
    # A norm beside the last layer: an encoder that was saved without its head has none.
    around = {name.rpartition(".")[0].rpartition(".")[0] for name in classifier} - {""}
    kept = classifier | {
        name for name in own if name not in taken and name.startswith(tuple(f"{one}." for one in around))
    }
    if kept - classifier:
        log.warning("%s: has no %s, which begin anew", path, ", ".join(sorted(kept - classifier)))
    first = _name_of_first(network)
    if first in taken and first in own:
        taken[first] = _for_channels(taken[first], settings.in_chans)
    rest = {name: tensor for name, tensor in own.items() if name not in kept}
    problem = f"{path}: expected weights of {settings.network.name}"
    return own | fitted(taken, rest, problem)


def _names_of_classifier(network: Any) -> set[str]:
    """Names of the parameters of the last layer."""
    layers = network.get_classifier()
    layers = layers if isinstance(layers, list | tuple) else [layers]
    ids = {id(parameter) for layer in layers for parameter in layer.parameters()}
    return {name for name, parameter in network.named_parameters() if id(parameter) in ids}


def _name_of_first(network: Any) -> str:
    """Name of the weight that the image's channels meet."""
    first = (getattr(network, "pretrained_cfg", None) or {}).get("first_conv")
    return f"{first}.weight" if isinstance(first, str) else ""


def _for_channels(weight: Tensor, in_chans: int) -> Tensor:
    """Kernels for another number of channels: an image that is the same in all of them gives the same."""
    if weight.ndim != 4 or weight.shape[1] == in_chans:
        return weight
    return weight.sum(dim=1, keepdim=True).expand(-1, in_chans, -1, -1) / in_chans


def _known_init(settings: MemberSettings, seed: int) -> Any:
    """Which file, and which network in it, after seeing that it is of this kind."""
    given = settings.init_from
    assert given is not None  # noqa: S101 - by the caller
    path = located(given.path)
    sha256 = _checked_sha256(path, given.sha256, "init_from.sha256")
    member = None
    if zipfile.is_zipfile(path) and _is_capsule(path):
        chosen = _chosen(read_capsule(path), settings, seed)
        member, theirs = str(chosen), chosen.settings
        _warn_of_other_input(path, theirs, settings)
    elif given.member is not None:
        raise InputError(
            f"init_from: {path}: init_from.member names a member of a capsule, but this is not a capsule"
        )
    elif (path.parent / DESCRIPTION).is_file():
        described = MemberDescription.read(path.parent / DESCRIPTION)
        if described.weights_sha256 == sha256 or path.name == LAST_WEIGHTS:
            theirs = MemberSettings.model_validate(described.settings)
            _refuse_other(f"init_from: {path}", theirs, settings)
            _warn_of_other_input(path, theirs, settings)
    log.info("starting from %s%s", path, f", {member}" if member else "")
    return given.model_copy(update={"sha256": sha256, "member": member})


def _is_capsule(path: Path) -> bool:
    """PyTorch's files are ZIP archives too."""
    with zipfile.ZipFile(path) as archive:
        return "manifest.json" in archive.namelist()


def _chosen(capsule: Capsule, settings: MemberSettings, seed: int) -> CapsuleMember:
    given, members = settings.init_from, capsule.manifest.members
    problem = f"init_from: {capsule.path}"
    if given is not None and given.member is not None:
        named = [one for one in members if str(one) == given.member]
        if not named:
            raise InputError(
                f"{problem}: expected {given.member}, found {', '.join(str(one) for one in members)}"
            )
        _refuse_other(f"{problem}: {named[0]}", named[0].settings, settings)
        return named[0]
    fitting = [one for one in members if not _differences(one.settings, settings)]
    if not fitting:
        _refuse_other(f"{problem}: {members[0]}", members[0].settings, settings)
    same = [one for one in fitting if one.seed == seed]
    return same[0] if same else fitting[seed % len(fitting)]


def _differences(theirs: MemberSettings, own: MemberSettings) -> list[tuple[str, Any, Any]]:
    """What two members may not differ in, if one starts from the other: a name, own, theirs."""
    compared = {
        "network": (own.network.name, theirs.network.name),
        "bands": (own.bands, theirs.bands),
        "network.timm": (own.network.timm, theirs.network.timm),
        # As many outputs may be other parameters, or one and its width.
        "lens_parameters.targets": (_targets(own), _targets(theirs)),
        "lens_parameters.uncertainties": (own.has_uncertainties, theirs.has_uncertainties),
    }
    return [(name, mine, other) for name, (mine, other) in compared.items() if mine != other]


def _targets(settings: MemberSettings) -> list[str]:
    return [] if settings.lens_parameters is None else list(settings.lens_parameters.targets)


def _refuse_other(problem: str, theirs: MemberSettings, own: MemberSettings) -> None:
    for name, mine, other in _differences(theirs, own):
        raise InputError(
            f"{problem}: expected {name} {json.dumps(mine)}, found {json.dumps(other)}; training can only "
            "start from a network of the same kind: change one of them"
        )


def _warn_of_other_input(path: Path, theirs: MemberSettings, own: MemberSettings) -> None:
    given, learnt = (one.preprocess.model_dump(exclude={"asinh_softening_of_band"}) for one in (own, theirs))
    differing = sorted(key for key in given if given[key] != learnt.get(key))
    if differing:
        log.warning("%s: has learnt with another preprocess.%s", path, ", preprocess.".join(differing))


def _init_weights(settings: MemberSettings) -> dict[str, Tensor]:
    given = settings.init_from
    assert given is not None  # noqa: S101 - by the caller
    path = located(given.path)
    if given.member is None:
        return to_timm_state_dict(load_weights(path))
    capsule = read_capsule(path)
    (member,) = [one for one in capsule.manifest.members if str(one) == given.member]
    found: dict[str, Tensor] = load_safetensors(capsule.read(member.weights))
    refuse_non_finite(path, found)
    return found
