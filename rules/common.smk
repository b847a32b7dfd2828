"""What all rules share: the checked config, where files are, what jobs ask for."""

import shlex

from stronglens.configuring.config import check_config
from stronglens.configuring.distilled import with_distilled
from stronglens.configuring.transfer import sides, transferable, with_single_domains
from stronglens.settings.domains import side

# The config.

if CONFIG_COMES_WITH_MODULE:
    CONFIG_FILES = [f"config of module {MODULE_NAME}"]
elif IS_MODULE:
    CONFIG_FILES = read_config_files()[-1:]
else:
    CONFIG_FILES = GIVEN_CONFIG_FILES or read_config_files()
if len(CONFIG_FILES) != 1:
    refuse(
        f"--configfile: expected one file, found {len(CONFIG_FILES)}: {', '.join(CONFIG_FILES)}; "
        "two would be merged key by key into something neither of them says"
    )
try:
    CONFIG = check_config(config, CONFIG_FILES[0])
except InputError as error:
    refuse(error)

if IS_MAIN_PROCESS:
    data_said = "simulated data" if CONFIG.simulate else "the user's data"
    logger.info(f"Config {CONFIG_FILES[0]}, {data_said}")

ENSEMBLES = list(CONFIG.ensembles)
"""What the user asks for; ensembles that learn from one domain alone, and those that are distilled, are there for
whoever asks for them."""
TRANSFERABLE = transferable(CONFIG)
SIDES = sides(CONFIG)
"""What networks may learn from alone, or be scored on alone: domains by name."""
CONFIG = with_single_domains(with_distilled(CONFIG))

HELDOUT = "heldout"
"""The labelled objects that no member has learnt from and t* was not chosen on."""
SCORED = [HELDOUT, *(name for name, testset in CONFIG.testsets.items() if testset.labelled)]
"""Test sets with labels."""
BLIND = [name for name in CONFIG.testsets if name not in SCORED]
"""Test sets without."""
ESTIMATING = [name for name in ENSEMBLES if CONFIG.estimated(name)]
"""Ensembles that estimate parameters of lenses."""
TRAINED = [name for name, model in CONFIG.models.items() if not model.checkpoints]
READY = [name for name, model in CONFIG.models.items() if model.checkpoints]
"""Models whose members were trained elsewhere."""


def one_of(names):
    """A wildcard constraint that only these names meet; none at all if there are none."""
    return "|".join(names) or "(?!)"


wildcard_constraints:
    model=one_of(CONFIG.models),
    seed=r"\d+",
    ensemble=one_of(CONFIG.ensembles),
    testset=one_of([HELDOUT, *CONFIG.testsets]),
    which=one_of(["val", *SCORED]),
    part=r"\d+",
    search=one_of(CONFIG.searches),
    trial=r"\d+",


# Paths. A large file is an input as `ancient(PATH)`, beside its description, whose content Snakemake compares.
# `ancient(rules.X.output.Y)` would do so for all other rules that name it (Snakemake 9.27).

SIMULATED = "results/simulated"
LABELLED = "results/buckets/labelled"
PACKED_FILES = {
    "cutouts": "cutouts.npy",
    "index": "index.parquet",
    "parameters": "parameters.parquet",
    "rejected": "rejected.csv",
    "summary": "summary.json",
}
SPLITS = "results/splits"
TEST_SETS_CHECKED = f"{SPLITS}/test_sets.json"
INSPECTION = "results/inspection/labelled"
MEMBER = "results/models/{model}/seed_{seed}"
PREDICTIONS = "results/predictions/{model}/seed_{seed}"
ENSEMBLE = "results/ensemble/{ensemble}"
EVALUATION = "results/evaluation/{ensemble}"
DRIFT = "results/drift/{ensemble}/{testset}"
REPORT = "results/report/{ensemble}"
BENCHMARKS = "results/benchmarks"


def n_parts(testset):
    return 1 if testset == HELDOUT else CONFIG.testsets[testset].parts


def packed_folders(which):
    """The folders of a packed set's parts; validation and held-out objects are in the labelled data, in one part."""
    if which in ("labelled", "val", HELDOUT):
        return [LABELLED]
    return [f"results/buckets/{which}/part_{part}" for part in range(n_parts(which))]


def labelled_data(*large):
    """The labelled data as inputs: their summary, and the large files of these names."""
    files = {name: ancient(f"{LABELLED}/{PACKED_FILES[name]}") for name in large}
    return {"summary": f"{LABELLED}/summary.json", **files}


def objects_split():
    """The split of the labelled objects, as inputs."""
    return {"split": f"{SPLITS}/objects.json", "objects": ancient(f"{SPLITS}/objects.parquet")}


def packed_files(file):
    """An input function: a file of each part of the packed set that the wildcards name."""
    return lambda wildcards: [
        f"{folder}/{file}" for folder in packed_folders(wildcards.get("which") or wildcards.testset)
    ]


def large_packed_files(file):
    return lambda wildcards: ancient(packed_files(file)(wildcards))


def member_folder(model, seed):
    return MEMBER.format(model=model, seed=seed)


def member_folders(ensemble):
    return [member_folder(*member) for member in CONFIG.members(ensemble)]


def member_files(file):
    """An input function: a file of each member of an ensemble."""
    return lambda wildcards: [f"{folder}/{file}" for folder in member_folders(wildcards.ensemble)]


def predictions_of(ensemble, which):
    """Where the members of an ensemble leave their predictions of `train`, `val` or a test set."""
    return [
        f"{PREDICTIONS}/{which}".format(model=model, seed=seed) for model, seed in CONFIG.members(ensemble)
    ]


def table_of(ensemble, which):
    """The table of an ensemble for validation or a test set."""
    name = "val_ens.csv" if which == "val" else "test_ens_labeled.csv" if which in SCORED else "test_ens.csv"
    return f"results/ensemble/{ensemble}/{which}/{name}"


def description_of(ensemble, which):
    """What describes that table."""
    return f"results/ensemble/{ensemble}/{which}/{'val' if which == 'val' else 'test'}_ens.json"


TARGETS = [
    "submission.csv",
    *expand("results/submissions/{ensemble}.csv", ensemble=ENSEMBLES),
    f"{INSPECTION}/cutouts.png",
    *expand(f"{DRIFT}/drift.png", ensemble=ENSEMBLES, testset=CONFIG.testsets),
    *expand(f"{EVALUATION}/{{which}}/roc.png", ensemble=ENSEMBLES, which=["val", *SCORED]),
    *expand(f"{EVALUATION}/{{which}}/lens_parameters.png", ensemble=ESTIMATING, which=["val", *SCORED]),
    "results/candidates/index.html",
    "results/report/data.html",
    *expand(f"{REPORT}/overview.html", ensemble=ENSEMBLES),
    *expand(f"{REPORT}/training.png", ensemble=ENSEMBLES),
]
"""What `rule all` makes. The figure of run times, which measures the jobs of these, comes last."""


# Resources.


def doubled_at_retry(amount):
    """A resource of which the second try asks for twice as much, since the first may have failed for lack of it.

    Further tries ask for no more: a training in many pieces must not outgrow every node.
    """
    return lambda wildcards, attempt: amount * min(attempt, 2)


LIGHT = {"mem_mb": doubled_at_retry(8_000), "runtime": doubled_at_retry(120)}
TRAINING = {
    "gpu": 1,
    "mem_mb": doubled_at_retry(48_000),
    # Not more at a retry, which queues may not allow: it goes on where the first try was cut.
    "runtime": 72 * 60,
    "device": "auto",
    "compile": "auto",
}
PREDICTION = {
    "gpu": 1,
    "mem_mb": doubled_at_retry(32_000),
    "runtime": doubled_at_retry(12 * 60),
    "device": "auto",
    "compile": "auto",
    "batch_size": "auto",
}
