"""Ensembles whose members learn from one domain alone, derived from those of a config."""

from collections.abc import Iterator

from stronglens.configuring.config import Config, ModelSettings
from stronglens.settings.decide import MEMBER_METHODS, EnsembleSettings
from stronglens.settings.domains import DOMAINS, Domain


def trained_on(name: str, domain: Domain) -> str:
    """Name of a model or an ensemble of which all members learn from one domain."""
    return f"{name}_on_{domain}"


def transferable(config: Config) -> list[str]:
    """Ensembles all of whose members are trained here, on all domains; none where t* comes from members."""
    if config.threshold.method in MEMBER_METHODS:
        return []
    return [
        name
        for name, ensemble in config.ensembles.items()
        if all(_is_trained_on_all(config.models[model]) for model in ensemble.models)
    ]


def with_single_domains(config: Config) -> Config:
    """Add to a config, for each domain, models and ensembles that learn, calibrate and choose t* on it alone.

    Parameters
    ----------
    config : Config
        As the user wrote it.

    Returns
    -------
    Config
        With ensembles `{name}_on_{domain}` for each of `transferable`, and their models. Nothing asks for
        them by itself.
    """
    ensembles: dict[str, EnsembleSettings] = {}
    models: dict[str, ModelSettings] = {}
    for name in transferable(config):
        ensemble = config.ensembles[name]
        for domain in DOMAINS:
            own = {trained_on(model, domain): config.models[model] for model in ensemble.models}
            models |= {model: _restricted(settings, domain) for model, settings in own.items()}
            update = {"models": list(own), "validation_domains": [domain]}
            ensembles[trained_on(name, domain)] = ensemble.model_copy(update=update)
    return config.model_copy(
        update={"models": config.models | models, "ensembles": config.ensembles | ensembles}
    )


def _restricted(model: ModelSettings, domain: Domain) -> ModelSettings:
    overrides = {
        seed: own.model_copy(update={"domains": [domain]}) for seed, own in model.seed_overrides.items()
    }
    return model.model_copy(update={"domains": [domain], "seed_overrides": overrides})


def _is_trained_on_all(model: ModelSettings) -> bool:
    return not model.checkpoints and not any(_domains(model))


def _domains(model: ModelSettings) -> Iterator[list[Domain] | None]:
    return (model.of_seed(seed).domains for seed in model.member_seeds)
