"""Ensembles whose members learn from some domains alone, derived from those of a config."""

from collections.abc import Iterator, Sequence
from typing import Any

from stronglens.configuring.config import Config, ModelSettings
from stronglens.settings.decide import MEMBER_METHODS, EnsembleSettings
from stronglens.settings.domains import Domain, side
from stronglens.settings.member import MemberSettings


def trained_on(name: str, domains: Sequence[Domain]) -> str:
    """Name of a model or an ensemble of which all members learn from these domains alone."""
    return f"{name}_on_{side(domains)}"


def sides(config: Config) -> dict[str, list[Domain]]:
    """What networks may learn from, or be scored on, alone: each domain, and those that `transfer` joins."""
    transfer = config.transfer_of_domains
    together = [] if transfer is None else [transfer.train_on, transfer.test_on]
    return {side(domains): domains for domains in [*([domain] for domain in config.domains), *together]}


def transferable(config: Config) -> list[str]:
    """Ensembles all of whose members learn here, from labels, of all domains; none where t* is of members."""
    if config.threshold.method in MEMBER_METHODS:
        return []
    return [
        name
        for name, ensemble in config.ensembles.items()
        if all(_is_trained_on_all(config.models[model]) for model in ensemble.models)
    ]


def with_single_domains(config: Config) -> Config:
    """Add to a config models and ensembles that learn, calibrate and choose t* on each of `sides` alone.

    Parameters
    ----------
    config : Config
        As the user wrote it.

    Returns
    -------
    Config
        With ensembles `{name}_on_{side}` for each of `transferable`, and their models. Nothing asks for
        them by itself.
    """
    ensembles: dict[str, EnsembleSettings] = {}
    models: dict[str, ModelSettings] = {}
    for name in transferable(config):
        ensemble = config.ensembles[name]
        for domains in sides(config).values():
            own = {trained_on(model, domains): config.models[model] for model in ensemble.models}
            models |= {model: _restricted(settings, domains) for model, settings in own.items()}
            update = {"models": list(own), "validation_domains": domains}
            ensembles[trained_on(name, domains)] = ensemble.model_copy(update=update)
    return config.model_copy(
        update={"models": config.models | models, "ensembles": config.ensembles | ensembles}
    )


def _restricted(model: ModelSettings, domains: list[Domain]) -> ModelSettings:
    def of_those(settings: MemberSettings) -> dict[str, Any]:
        if len(domains) > 1:
            return {"domains": domains}
        # There is nothing to tell apart.
        return {"domains": domains, "train": settings.train.model_copy(update={"domain_weight": 0.0})}

    overrides = {seed: own.model_copy(update=of_those(own)) for seed, own in model.seed_overrides.items()}
    return model.model_copy(update=of_those(model) | {"seed_overrides": overrides})


def _is_trained_on_all(model: ModelSettings) -> bool:
    # What learns from an ensemble learns of all the domains that this has seen.
    taught = any(model.of_seed(seed).distil_from for seed in model.member_seeds)
    return not model.checkpoints and not taught and not any(_domains(model))


def _domains(model: ModelSettings) -> Iterator[list[Domain] | None]:
    return (model.of_seed(seed).domains for seed in model.member_seeds)
