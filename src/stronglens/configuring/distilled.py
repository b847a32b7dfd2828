"""Ensembles of one network that learns from an ensemble, derived from those of a config."""

from stronglens.configuring.config import Config, ModelSettings, distilled
from stronglens.settings.member import MemberSettings


def with_distilled(config: Config) -> Config:
    """Add to a config, where `capsule.distil` asks for it, a network in place of each ensemble.

    Parameters
    ----------
    config : Config
        As the user wrote it.

    Returns
    -------
    Config
        With an ensemble `{name}_distilled` for each of level object that learns from labels, and its model:
        the settings, and the first seed, of the first model of the ensemble. Calibration and domains of
        validation are the ensemble's. Nothing asks for them by itself.
    """
    if not config.capsule.distil:
        return config
    models, ensembles = dict(config.models), dict(config.ensembles)
    for name, ensemble in config.ensembles.items():
        if ensemble.level == "object" and not any(config.teachers(model) for model in ensemble.models):
            models[distilled(name)] = _student(
                config.models[ensemble.models[0]], name, config.capsule.distil_on
            )
            ensembles[distilled(name)] = ensemble.model_copy(update={"models": [distilled(name)]})
    return config.model_copy(update={"models": models, "ensembles": ensembles})


def _student(model: ModelSettings, teacher: str, testsets: list[str]) -> ModelSettings:
    seed = model.member_seeds[0]
    own = model.of_seed(seed)
    learnt = {key: getattr(own, key) for key in MemberSettings.model_fields}
    learnt |= {"distil_from": teacher, "distil_on": testsets}
    return ModelSettings(**learnt, seeds=[seed], predict=model.predict)
