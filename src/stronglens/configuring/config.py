"""The whole config: read by the workflow alone, which hands each step no more than that step's settings."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from stronglens.configuring.searches import canonical_space, wrong_space
from stronglens.configuring.timm_names import timm_names
from stronglens.configuring.yaml_keys import misread
from stronglens.running.errors import InputError
from stronglens.running.explain import CONTRADICTION, Location, dotted, explain
from stronglens.settings.base import Settings
from stronglens.settings.data import (
    CHALLENGE,
    Buckets,
    BucketSettings,
    CutoutSettings,
    DataSettings,
    PackSettings,
    SimulateSettings,
    SplitSettings,
    TestSetSettings,
    located,
)
from stronglens.settings.data import (
    in_order as buckets_in_order,
)
from stronglens.settings.decide import (
    FORMS_WITH_PARAMETERS,
    MEMBER_METHODS,
    CombineSettings,
    EnsembleSettings,
    EvaluateSettings,
    SubmissionSettings,
    ThresholdSettings,
)
from stronglens.settings.domains import UNKNOWN, Domain, TransferSettings
from stronglens.settings.lens_parameters import in_order
from stronglens.settings.member import MemberSettings, PredictSettings
from stronglens.settings.products import (
    CandidatesSettings,
    CapsuleSettings,
    CatalogueSettings,
    KnownLensesSettings,
)
from stronglens.settings.search import ConclusionSettings, SearchSettings, StrategySettings, TrialSettings
from stronglens.sources.names import NameParser, NotACutout

SIMULATED = "results/simulated"
"""Where the simulator writes."""

RESERVED_TESTSETS = ("heldout", "val", "train", "labelled")
"""Names of results that no test set of the config may take."""

LABELLED: Location = ("data", "labelled")

MOST_LINES_CHECKED = 5_000
"""Lines of a list file that are tried where nothing would be lost by a line that names no file."""

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


def distilled(ensemble: str) -> str:
    """Name of the network, and of the ensemble of it alone, that learns from an ensemble for its capsule."""
    return f"{ensemble}_distilled"


class ModelSettings(MemberSettings):
    """A named block of settings from which one member for each seed is trained."""

    seeds: list[Seed] = Field([], examples=["[42, 101, 202, 303, 404]"])
    """Seeds of the members to train."""
    checkpoints: dict[Seed, Annotated[str, Field(min_length=1)]] = Field(
        {}, examples=["{42: /path/to/best.pt}"]
    )
    """Instead of `seeds`: weights of members that are trained already, a file for each seed. Files of this
    pipeline and of the ConvNeXt V2 paper's code are known."""
    seed_overrides: dict[Seed, MemberSettings] = Field({}, examples=["{101: {train: {lr: 1e-4}}}"])
    """Settings of single seeds that differ from the model's. Only what differs is written; blocks are merged
    key by key, everything else is replaced."""
    predict: PredictSettings = PredictSettings()
    """How the members of this model are applied."""

    @model_validator(mode="before")
    @classmethod
    def _complete_overrides(cls, raw: Any) -> Any:
        """Fill what an override leaves out with what the model says, so that it is checked as a whole."""
        overrides = raw.get("seed_overrides") if isinstance(raw, Mapping) else None
        if not isinstance(overrides, Mapping):
            return raw
        model = {key: raw[key] for key in MemberSettings.model_fields if key in raw}
        return {
            **raw,
            "seed_overrides": {
                seed: _merged(_spelt_out(model), _spelt_out(override))
                if isinstance(override, Mapping)
                else override
                for seed, override in overrides.items()
            },
        }

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        if twice:
            raise ValueError(f"found {', '.join(map(str, twice))} more than once")
        return seeds

    @model_validator(mode="after")
    def _seeds_or_checkpoints(self) -> Self:
        if bool(self.seeds) == bool(self.checkpoints):
            raise ValueError(
                "give either seeds, to train, or checkpoints, trained already; "
                "for example seeds: [42, 101, 202, 303, 404]"
            )
        if self.checkpoints and any(self.of_seed(seed).lens_parameters for seed in self.member_seeds):
            raise ValueError(
                "lens_parameters: a checkpoint does not say in which units it estimates them; leave them out"
            )
        if self.checkpoints and any(self.of_seed(seed).preprocess.needs_noise for seed in self.member_seeds):
            raise ValueError(
                "preprocess.asinh_softening: the noise is measured in training, and a checkpoint is trained "
                "already; give the softening in counts"
            )
        if self.checkpoints and any(self.of_seed(seed).distil_from for seed in self.member_seeds):
            raise ValueError(
                "distil_from: a checkpoint is trained already and learns from no ensemble; leave it out"
            )
        stray = sorted(set(self.seed_overrides) - set(self.member_seeds))
        if stray:
            raise ValueError(
                f"seed_overrides: found {', '.join(map(str, stray))}, expected seeds of the model; "
                f"for example {self.member_seeds[0]}"
            )
        return self

    @property
    def member_seeds(self) -> list[int]:
        """Seeds of all members, trained here or before."""
        return self.seeds or list(self.checkpoints)

    def of_seed(self, seed: int) -> MemberSettings:
        """The settings of one member."""
        own = self.seed_overrides.get(seed)
        return self.shared if own is None else own

    @property
    def shared(self) -> MemberSettings:
        """The settings of all members whose seed has none of its own."""
        return MemberSettings(**{key: getattr(self, key) for key in MemberSettings.model_fields})


class Config(Settings):
    """All that decides what is computed. Where and how it runs is in the profiles."""

    simulate: SimulateSettings | None = None
    """Make a small data set under `results/simulated` before anything else; `null` makes none."""
    data: DataSettings
    """The labelled data."""
    testsets: dict[Name, TestSetSettings] = Field(
        min_length=1, examples=["{challenge: {path: /data/test_dataset_updated}}"]
    )
    """Sets to be scored, by name. The held-out part of the labelled data, `heldout`, is always there."""
    split: SplitSettings = SplitSettings()
    """How the labelled objects are split."""
    models: dict[Name, ModelSettings] = Field(
        min_length=1, examples=["{nano: {network: convnextv2_nano, seeds: [42, 101, 202, 303, 404]}}"]
    )
    """What is trained, by name."""
    ensembles: dict[Name, EnsembleSettings] = Field(min_length=1, examples=["{nano: {models: [nano]}}"])
    """Which models are averaged, by name; each ensemble has its own t*."""
    threshold: ThresholdSettings = ThresholdSettings()
    """How t* is chosen."""
    evaluation: EvaluateSettings = EvaluateSettings()
    """What is reported of an ensemble in addition to the standard metrics."""
    submission: SubmissionSettings
    """What is submitted."""
    candidates: CandidatesSettings = CandidatesSettings()
    """What the page of candidates shows."""
    capsule: CapsuleSettings = CapsuleSettings()
    """What capsules hold beside the ensembles."""
    catalogue: CatalogueSettings = CatalogueSettings()
    """What is in the watch lists beside catalogues."""
    known_lenses: KnownLensesSettings | None = Field(
        None, examples=["{tables: {masterlens: /data/masterlens.csv}, radius_arcsec: 2.0}"]
    )
    """Lenses that are known already: those that test sets hold are listed in the report and marked on the
    page of candidates and in catalogues; see docs/catalogues.md."""
    transfer: TransferSettings | None = Field(None, examples=["{train_on: [slsim], test_on: [hsc]}"])
    """What `snakemake sim_to_real` measures: what networks that learn from some domains alone lose on others.
    `null`: from `slsim` to `hsc` where the data are the challenge's, else nothing."""
    searches: dict[Name, SearchSettings] = Field(
        {},
        examples=[
            "{nano: {model: nano, n_trials: 20, space: {train.lr: {low: 1.0e-5, high: 1.0e-3, log: true}}}}"
        ],
    )
    """Searches for the best settings of models, by name; `snakemake search_NAME` runs one, nothing else
    does. Off by default: see docs/search.md."""

    @model_validator(mode="after")
    def _no_contradictions(self) -> Self:
        problems = [
            InitErrorDetails(
                type=PydanticCustomError(CONTRADICTION, "{text}", {"text": text}), loc=location, input=None
            )
            for location, text in _contradictions(self)
        ]
        if problems:
            raise ValidationError.from_exception_data("config", problems)
        return self

    @property
    def domains(self) -> list[Domain]:
        """Domains of the labelled data, in the order of their buckets."""
        buckets = buckets_in_order(self.data.labelled).values()
        return list(dict.fromkeys(bucket.domain for bucket in buckets if bucket.domain is not None))

    @property
    def transfer_of_domains(self) -> TransferSettings | None:
        """`transfer`, as given or as the challenge's names imply it."""
        if self.transfer is None and set(self.data.labelled) == set(CHALLENGE):
            simulated, real = self.domains
            return TransferSettings(train_on=[simulated], test_on=[real])
        return self.transfer

    def member_settings(self, model: str, seed: int) -> MemberSettings:
        """The settings of one member: the model's, but for what `seed_overrides` says of the seed.

        A seed that the config does not list has the model's settings.
        """
        return self.models[model].of_seed(seed)

    def trial_settings(self, search: str) -> TrialSettings:
        """What each trial of a search is given."""
        settings = self.searches[search]
        model = self.models[settings.model]
        strategy = {key: getattr(settings, key) for key in StrategySettings.model_fields}
        space = canonical_space(settings, model.shared)
        return TrialSettings(
            **(strategy | {"space": space}), member=model.shared, member_seed=model.member_seeds[0]
        )

    def conclusion_settings(self, search: str) -> ConclusionSettings:
        """What the conclusion of a search is given."""
        name = self.searches[search].model
        model = self.models[name]
        block = model.model_dump(mode="json", exclude_defaults=True, exclude={"seed_overrides"})
        space = canonical_space(self.searches[search], model.shared)
        return ConclusionSettings(model=name, block=block, space=space)

    def estimated(self, ensemble: str) -> list[str]:
        """Lens parameters that any member of an ensemble estimates, in the order of columns."""
        settings = [self.member_settings(*member).lens_parameters for member in self.members(ensemble)]
        return in_order({name for one in settings if one is not None for name in one.targets})

    def has_uncertainties(self, ensemble: str) -> bool:
        """Whether any member of an ensemble gives standard deviations of its lens parameters."""
        return any(self.member_settings(*member).has_uncertainties for member in self.members(ensemble))

    def teachers(self, model: str) -> set[str]:
        """Ensembles whose probabilities members of a model learn."""
        block = self.models[model]
        named = (block.of_seed(seed).distil_from for seed in block.member_seeds)
        return {teacher for teacher in named if teacher is not None}

    def members(self, ensemble: str) -> list[tuple[str, int]]:
        """Model and seed of each member of an ensemble."""
        return [
            (model, seed)
            for model in self.ensembles[ensemble].models
            for seed in self.models[model].member_seeds
        ]


def check_config(raw: Mapping[str, Any], where: str) -> Config:
    """Check a config as it was read from a file.

    Parameters
    ----------
    raw : mapping
        The content of the file.
    where : str
        Name of the file. If it is there, it is searched for what YAML reads as something else: keys
        given twice, numbers such as 042.

    Raises
    ------
    InputError
        With a line for each wrong setting. Settings that are right by themselves but contradict each other
        are told once all are right by themselves.
    """
    slips = [f"{where}: {text}" for text in misread(Path(where))]
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise InputError(
            "\n".join([*slips, explain(_without_echoes(error.errors()), Config, where)])
        ) from error
    if slips:
        raise InputError("\n".join(slips))
    return config


def check_sources(
    config: Config,
    data_sets: Collection[str] | None = None,
    members: Collection[tuple[str, int]] | None = None,
    *,
    simulating: bool = True,
    most_lines: int | None = MOST_LINES_CHECKED,
) -> list[str]:
    """Find data and weights that are not where the config says.

    Looks no further than needed: a folder is listed up to its first cutout.

    Parameters
    ----------
    config : Config
        What says where the data are.
    data_sets : collection of str, optional
        Those to be packed, `labelled` or the name of a test set; all if not given. The files of others may be
        gone.
    members : collection of (str, int), optional
        Model and seed of those to be imported; all that have checkpoints if not given.
    simulating : bool
        Whether the simulator will run: what it makes may then be missing.
    most_lines : int, optional
        Lines of a list file that are tried; all if None.

    Returns
    -------
    list of str
        A line for each problem.
    """
    problems = []
    for location, sources in _sources(config).items():
        if data_sets is not None and ("labelled" if location == LABELLED else location[1]) not in data_sets:
            continue
        empty = []
        read_as = _settings_of_sources(config, location)
        for name, path in sources.items():
            if config.simulate is not None and simulating and _is_simulated(path):
                continue
            try:
                if not _holds_cutouts(read_as["" if name == "path" else name], config.data, most_lines):
                    empty.append(name)
            except InputError as error:
                problems.append(f"{dotted((*location, name))}: {error}")
        # Where the four folders of a test set mean nothing, some may be empty.
        if location == LABELLED or len(empty) == len(sources) or config.testsets[str(location[1])].labelled:
            problems += [
                f"{dotted((*location, name))}: {sources[name]}: expected FITS cutouts "
                "(names such as D1_L_00000000_g.fits), found none"
                for name in empty
            ]
    for model, settings in config.models.items():
        for seed, path in settings.checkpoints.items():
            if (members is None or (model, seed) in members) and not located(path).is_file():
                found = "found no file" if located(path).exists() else "but it does not exist"
                problems.append(
                    f"models.{model}.checkpoints.{seed}: {path}: expected a file with weights, {found}"
                )
    return problems


def _spelt_out(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a member with `network: NAME` written as the block that it stands for."""
    network = settings.get("network")
    return {**settings, "network": {"name": network}} if isinstance(network, str) else {**settings}


def _merged(model: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**model, **override}
    for key in model.keys() & override.keys():
        if isinstance(model[key], Mapping) and isinstance(override[key], Mapping):
            merged[key] = _merged(model[key], override[key])
    return merged


def _without_echoes(problems: Sequence[Any]) -> Iterator[Any]:
    """Leave out what is wrong in a seed's settings only because it is wrong in the model's."""
    models = {(problem["loc"], str(problem["input"])) for problem in problems}
    for problem in problems:
        loc = problem["loc"]
        is_override = len(loc) > 4 and loc[0] == "models" and loc[2] == "seed_overrides"
        if not (is_override and (loc[:2] + loc[4:], str(problem["input"])) in models):
            yield problem


def _contradictions(config: Config) -> Iterator[tuple[Location, str]]:
    yield from _wrong_names(config)
    for name, model in config.models.items():
        yield from _wrong_member(config, model, ("models", name))
        for seed, settings in model.seed_overrides.items():
            yield from _wrong_member(config, settings, ("models", name, "seed_overrides", seed))
    yield from _wrong_domains(config)
    yield from _wrong_teachers(config)
    yield from _wrong_unlabelled(config)
    yield from _wrong_levels(config)
    yield from _wrong_prevalences(config)
    yield from _wrong_widths(config)
    yield from _wrong_estimates(config)
    yield from _wrong_colours(config)
    yield from _wrong_capsules(config)
    yield from _wrong_known(config)
    yield from _wrong_magnitudes(config)
    yield from _wrong_sources(config)
    yield from _wrong_searches(config)


def _wrong_capsules(config: Config) -> Iterator[tuple[Location, str]]:
    for testset in config.capsule.drift:
        if testset not in config.testsets:
            yield ("capsule", "drift"), _unknown("a test set", testset, config.testsets)
    if config.capsule.distil_on and not config.capsule.distil:
        yield (
            ("capsule", "distil_on"),
            f"found {', '.join(config.capsule.distil_on)}, but capsule.distil is off: no network would learn "
            "from it; for example distil: true",
        )


def _wrong_known(config: Config) -> Iterator[tuple[Location, str]]:
    if config.candidates.leave_out_known and config.known_lenses is None:
        yield (
            ("candidates", "leave_out_known"),
            "found true, but the config names no known lenses; for example "
            "known_lenses: {tables: {masterlens: /data/masterlens.csv}}",
        )


def _wrong_names(config: Config) -> Iterator[tuple[Location, str]]:
    for name in RESERVED_TESTSETS:
        if name in config.testsets:
            yield ("testsets", name), f"{name} is the name of other results"
    for block, names in (("models", config.models), ("ensembles", config.ensembles)):
        for name in names:
            if name.endswith(tuple(f"_on_{domain}" for domain in config.domains)):
                yield (block, name), f"{name} is kept for what learns from one domain; choose another name"
            if config.capsule.distil and name in map(distilled, config.ensembles):
                yield (block, name), f"{name} is kept for what capsule.distil makes; choose another name"
    for name, ensemble in config.ensembles.items():
        for model in ensemble.models:
            if model not in config.models:
                yield ("ensembles", name, "models"), _unknown("a model", model, config.models)
        if len(set(ensemble.models)) < len(ensemble.models):
            yield ("ensembles", name, "models"), f"found a model twice: {', '.join(ensemble.models)}"
    submission = config.submission
    if submission.ensemble not in config.ensembles:
        yield ("submission", "ensemble"), _unknown("an ensemble", submission.ensemble, config.ensembles)
    if submission.testset not in config.testsets:
        yield ("submission", "testset"), _unknown("a test set", submission.testset, config.testsets)


def _unknown(kind: str, name: str, known: Collection[str], otherwise: str | None = None) -> str:
    """Say what is meant, perhaps; `otherwise`: what to say where nothing is like it."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else otherwise or f"the config has {', '.join(known)}"
    return f"found {name}, expected the name of {kind}; {hint}"


def _wrong_member(
    config: Config, settings: MemberSettings, location: Location
) -> Iterator[tuple[Location, str]]:
    data = config.data
    network, known = settings.network.name, timm_names()
    if known and not settings.network.is_on_hub and network.partition(".")[0] not in known:
        otherwise = "for example network: convnextv2_nano"
        yield (*location, "network", "name"), _unknown("a network in timm", network, known, otherwise)
    stray = [] if settings.bands == "each" else [band for band in settings.bands if band not in data.bands]
    if stray:
        yield (
            (*location, "bands"),
            f"found {', '.join(stray)}, expected bands of data.bands: [{', '.join(data.bands)}]",
        )
    softened = settings.preprocess.asinh_softening_of_band
    stray = [band for band in softened if band not in data.bands]
    if stray:
        yield (
            (*location, "preprocess", "asinh_softening_of_band"),
            f"found {', '.join(stray)}, expected bands of data.bands: [{', '.join(data.bands)}]",
        )
    all_known = all(bucket.domain is not None for bucket in data.labelled.values())
    if settings.train.domain_weight > 0 and all_known and len(config.domains) < 2:
        yield (
            (*location, "train", "domain_weight"),
            f"found {settings.train.domain_weight:g}, but all buckets are of domain {config.domains[0]}: "
            "nothing is to be told apart; leave it out",
        )
    pad_to_px = settings.preprocess.pad_to_px
    if pad_to_px is not None and pad_to_px < data.size_px:
        yield (
            (*location, "preprocess", "pad_to_px"),
            f"found {pad_to_px}, expected data.size_px ({data.size_px}) or more",
        )
    crop_px, side_px = settings.train.crop_px, pad_to_px or data.size_px
    if crop_px is not None and crop_px >= side_px:
        yield (
            (*location, "train", "crop_px"),
            f"found {crop_px}, expected less than the {side_px} pixels of an image",
        )


def _wrong_domains(config: Config) -> Iterator[tuple[Location, str]]:
    named: list[tuple[Location, Collection[str]]] = []
    for name, model in config.models.items():
        blocks: dict[Location, MemberSettings] = {("models", name): model}
        blocks |= {
            ("models", name, "seed_overrides", seed): own for seed, own in model.seed_overrides.items()
        }
        for location, settings in blocks.items():
            named.append(((*location, "domains"), settings.domains or []))
            named.append(
                ((*location, "preprocess", "psf_input_fwhm_px"), settings.preprocess.psf_input_fwhm_px)
            )
    for name, ensemble in config.ensembles.items():
        named.append((("ensembles", name, "validation_domains"), ensemble.validation_domains or []))
    if config.transfer is not None:
        named += [
            (("transfer", "train_on"), config.transfer.train_on),
            (("transfer", "test_on"), config.transfer.test_on),
        ]
    of_testsets = {
        bucket.domain
        for testset in config.testsets.values()
        for bucket in (testset.buckets or {}).values()
        if testset.labelled and bucket.domain is not None
    }
    for location, domains in named:
        known = {*config.domains}
        if location[-1] == "psf_input_fwhm_px":  # of all that is predicted too
            known |= {UNKNOWN, *of_testsets}
        stray = [domain for domain in domains if domain not in known]
        if stray:
            yield location, _unknown("a domain of a bucket", stray[0], config.domains)


def _wrong_teachers(config: Config) -> Iterator[tuple[Location, str]]:
    for name in config.models:
        for teacher in sorted(config.teachers(name)):
            location: Location = ("models", name, "distil_from")
            if teacher not in config.ensembles:
                yield location, _unknown("an ensemble", teacher, config.ensembles)
            elif config.ensembles[teacher].level == "file":
                yield (
                    location,
                    f"found {teacher}, whose level is file: what is learnt are probabilities of objects; "
                    "give an ensemble with level: object",
                )
            elif _learns_from(config, teacher, name):
                yield (
                    location,
                    f"found {teacher}, whose members learn from {name}: neither could be trained first",
                )


def _wrong_unlabelled(config: Config) -> Iterator[tuple[Location, str]]:
    named: dict[Location, list[str]] = {("capsule", "distil_on"): config.capsule.distil_on}
    for name, model in config.models.items():
        named["models", name, "distil_on"] = model.distil_on
        for seed, own in model.seed_overrides.items():
            if own.distil_on != model.distil_on:
                named["models", name, "seed_overrides", seed, "distil_on"] = own.distil_on
    for location, testsets in named.items():
        for testset in testsets:
            if testset not in config.testsets:
                yield location, _unknown("a test set", testset, config.testsets)
            elif config.testsets[testset].labelled:
                yield (
                    location,
                    f"found {testset}, which is labelled: a network is not scored on objects that it has "
                    "learnt from; give a test set without labels",
                )


def _learns_from(config: Config, ensemble: str, model: str) -> bool:
    """Whether any member of an ensemble is of this model, or learns from it, by however many ensembles."""
    seen, waiting = set[str](), [ensemble]
    while waiting:
        if (name := waiting.pop()) in seen or name not in config.ensembles:
            continue
        seen.add(name)
        models = config.ensembles[name].models
        if model in models:
            return True
        waiting += [teacher for one in models if one in config.models for teacher in config.teachers(one)]
    return False


def _wrong_levels(config: Config) -> Iterator[tuple[Location, str]]:
    for name, ensemble in config.ensembles.items():
        for model in ensemble.models:
            block = config.models.get(model)
            stacked = block and any(block.of_seed(seed).bands != "each" for seed in block.member_seeds)
            if ensemble.level == "file" and stacked:
                yield (
                    ("ensembles", name, "level"),
                    f"found file, but {model} stacks an object's bands and says nothing of files; "
                    "for example level: object",
                )
        if ensemble.level == "file" and ensemble.combine_bands != "mean":
            yield (
                ("ensembles", name, "combine_bands"),
                f"found {ensemble.combine_bands}, but at level file no bands are combined; "
                "for example combine_bands: mean",
            )
        if ensemble.combination != CombineSettings() and config.threshold.method in MEMBER_METHODS:
            yield (
                ("ensembles", name),
                f"members are not combined by plain means, but threshold.method, {config.threshold.method}, "
                "takes the thresholds of members for that of their mean; for example method: youden",
            )


def _wrong_prevalences(config: Config) -> Iterator[tuple[Location, str]]:
    for name, ensemble in config.ensembles.items():
        # Bayes' rule holds for probabilities; what networks give is one only once it is calibrated.
        if ensemble.sky_prevalence is not None and ensemble.calibration == "none":
            yield (
                ("ensembles", name, "sky_prevalence"),
                f"found {ensemble.sky_prevalence:g}, but only calibrated probabilities can be corrected for "
                "it, and calibration is off; for example calibration: temperature",
            )


def _wrong_widths(config: Config) -> Iterator[tuple[Location, str]]:
    for name, ensemble in config.ensembles.items():
        if not set(ensemble.models) <= set(config.models):
            continue
        estimating = [
            (member, settings.has_uncertainties)
            for member in config.members(name)
            for settings in [config.member_settings(*member)]
            if settings.lens_parameters is not None
        ]
        uncertain, plain = ([member for member, has in estimating if has is is_] for is_ in (True, False))
        if uncertain and plain:
            (model, seed), (other, other_seed) = uncertain[0], plain[0]
            yield (
                ("ensembles", name, "models"),
                f"{model} seed {seed} gives uncertainties of lens parameters and {other} seed {other_seed} "
                f"none; set lens_parameters.uncertainties in both or in neither: {{name}}_std cannot be both "
                "an error and the spread over members",
            )


def _wrong_estimates(config: Config) -> Iterator[tuple[Location, str]]:
    submission = config.submission
    ensemble = config.ensembles.get(submission.ensemble)
    if not submission.lens_parameters or ensemble is None or not set(ensemble.models) <= set(config.models):
        return
    location = ("submission", "lens_parameters")
    if submission.form not in FORMS_WITH_PARAMETERS:
        yield (
            location,
            f"found true, but form {submission.form} has no columns for them; for example form: full",
        )
    elif not config.estimated(submission.ensemble):
        yield (
            location,
            f"found true, but no model of ensemble {submission.ensemble} estimates any; for example "
            f"models.{ensemble.models[0]}.lens_parameters: {{targets: [Rein]}}",
        )


def _wrong_colours(config: Config) -> Iterator[tuple[Location, str]]:
    bands = config.data.bands
    stray = [band for band in config.candidates.colours(bands) if band not in bands]
    if stray:
        yield (
            ("candidates", "colour_bands"),
            f"found {', '.join(stray)}, expected bands of data.bands: [{', '.join(bands)}]",
        )


def _wrong_magnitudes(config: Config) -> Iterator[tuple[Location, str]]:
    band, bands = config.evaluation.magnitude_band, config.data.bands
    # Where it is left out, single-band sets have no magnitudes and say nothing of them.
    if "magnitude_band" in config.evaluation.model_fields_set and band not in bands:
        yield (
            ("evaluation", "magnitude_band"),
            f"found {band}, expected a band of data.bands: [{', '.join(bands)}]",
        )


def _wrong_searches(config: Config) -> Iterator[tuple[Location, str]]:
    for name, search in config.searches.items():
        location: Location = ("searches", name)
        model = config.models.get(search.model)
        if model is None:
            yield (*location, "model"), _unknown("a model", search.model, config.models)
        elif model.checkpoints:
            yield (
                (*location, "model"),
                f"found {search.model}, whose members are trained already; give a model with seeds",
            )
        elif config.teachers(search.model):
            yield (
                (*location, "model"),
                f"found {search.model}, which learns from an ensemble; search the settings of a model that "
                "learns from labels",
            )
        else:
            contradictions = partial(_wrong_member, config, location=location)
            for inner, text in wrong_space(search, model.shared, contradictions):
                yield (*location, *inner), text


def _wrong_sources(config: Config) -> Iterator[tuple[Location, str]]:
    simulated = False
    for location, sources in _sources(config).items():
        for name, path in sources.items():
            simulated |= _is_simulated(path)
            if _is_simulated(path) and config.simulate is None:
                yield (
                    (*location, name),
                    f"found {path}, which the simulator makes, but there is no block simulate; "
                    "for example simulate: {}",
                )
            same = [other for other in sources if other != name and located(sources[other]) == located(path)]
            if same and location == LABELLED:
                yield (*location, name), f"found {path}, which is {' and '.join(same)} too"
    # Results say whether they come from simulated data: that must be true.
    if config.simulate is not None and not simulated:
        yield (
            ("simulate",),
            f"the simulator writes to {SIMULATED}, but no data are taken from there; "
            "remove this block to use your own",
        )


def _sources(config: Config) -> dict[Location, dict[str, str]]:
    """The folders and list files of each data set: the key of the block, and its paths by their keys."""

    def buckets(settings: Buckets) -> dict[str, str]:
        return {name: bucket.path for name, bucket in buckets_in_order(settings).items()}

    sources: dict[Location, dict[str, str]] = {LABELLED: buckets(config.data.labelled)}
    for name, testset in config.testsets.items():
        if testset.buckets is not None:
            sources["testsets", name, "buckets"] = buckets(testset.buckets)
        elif testset.path is not None:
            sources["testsets", name] = {"path": testset.path}
    return sources


def _settings_of_sources(config: Config, location: Location) -> dict[str, BucketSettings]:
    """The sources of a data set, each with all that is said of how it is read."""
    if location == LABELLED:
        return PackSettings.of_labelled(config.data).sources
    name = str(location[1])
    return PackSettings.of_testset(name, config.testsets[name], config.data).sources


def _is_simulated(path: str) -> bool:
    return PurePath(path).is_relative_to(SIMULATED)


def _holds_cutouts(bucket: BucketSettings, data: CutoutSettings, most_lines: int | None) -> bool:
    """Whether a source, or the first lines of a list or table, name a cutout.

    Raises
    ------
    InputError
        The source is missing or unreadable, or a line names no file.
    """
    # Few starts of the workflow need it, and it takes long to load.
    from stronglens.sources.opened import open_source  # noqa: PLC0415

    source = open_source(bucket, data.size_px, data.bands)
    if bucket.tiles is not None:
        source.check()  # what its catalogue names is known only once all tiles are opened
        return True
    parser = NameParser(data.bands, bucket)
    holds = False
    for entry in source.entries():
        if (holds and not entry.line) or (most_lines is not None and entry.line > most_lines):
            break
        try:
            if entry.name:
                parser.parse(entry.name)
        except NotACutout:
            continue
        holds = True
        if entry.line and not Path(entry.path).is_file():
            raise InputError(
                f"{bucket.path}: expected a file in every line, found none for line {entry.line}: "
                f"{entry.path}"
            )
    return holds
