"""What all rules share: the checked config, the code of a step, the settings of a step as one parameter."""

import functools
import json
import shlex
import sys

from snakemake.exceptions import WorkflowError
from snakemake.io import strip_wildcard_constraints
from snakemake.logging import logger

SCRIPTS = CLONE / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from stronglens.formats.artefact import sha256_of
from stronglens.configuring.config import check_config
from stronglens.running.errors import InputError
from stronglens.running.fingerprint import fingerprint, in_words
from stronglens.settings.data import PackSettings, located
from stronglens.configuring.transfer import sides, transferable, with_single_domains
from stronglens.settings.domains import side

if workflow.modifier.skip_configfile:  # the workflow that uses this one gives it
    CONFIG_FILES = [f"config of module {workflow.modifier.namespace}"]
elif IS_MODULE:
    CONFIG_FILES = workflow.configfiles[-1:]
else:
    CONFIG_FILES = [str(path) for path in workflow.overwrite_configfiles] or workflow.configfiles
if len(CONFIG_FILES) != 1:
    raise WorkflowError(
        f"--configfile: expected one file, found {len(CONFIG_FILES)}: {', '.join(CONFIG_FILES)}; "
        "two would be merged key by key into something neither of them says"
    )
try:
    CONFIG = check_config(config, CONFIG_FILES[0])
except InputError as error:
    # The message stands for itself; a traceback of the Snakefile would hide it.
    raise WorkflowError(str(error)) from None

ENSEMBLES = list(CONFIG.ensembles)
"""What the user asks for; ensembles that learn from one domain alone are there for whoever asks for them."""
TRANSFERABLE = transferable(CONFIG)
SIDES = sides(CONFIG)
"""What networks may learn from alone, or be scored on alone: domains by name."""
CONFIG = with_single_domains(CONFIG)

LABELLED = "results/buckets/labelled"
SPLITS = "results/splits"
HELDOUT = "heldout"


def n_parts(testset):
    return 1 if testset == HELDOUT else CONFIG.testsets[testset].parts


def packed_folders(testset):
    """The folders of a test set's parts, packed; the held-out test set is in the labelled data, a set of one part."""
    if testset in (HELDOUT, "labelled"):
        return [LABELLED]
    return [f"results/buckets/{testset}/part_{part}" for part in range(n_parts(testset))]


if workflow.is_main_process:
    data_said = "simulated data" if CONFIG.simulate else "the user's data"
    logger.info(f"Config {CONFIG_FILES[0]}, {data_said}")

if not {"conda", "apptainer"} & {str(method) for method in workflow.deployment_settings.deployment_method}:
    # A node's PATH need not hold the environment that snakemake was started from; a container may see it and be
    # unable to run it. The path is quoted for the shell, and its braces for Snakemake.
    bin_folder = shlex.quote(str(Path(sys.executable).parent)).replace("{", "{{").replace("}", "}}")
    shell.prefix(f"set -euo pipefail; export PATH={bin_folder}:$PATH; ")


TRAINED = [name for name, model in CONFIG.models.items() if not model.checkpoints]
READY = [name for name, model in CONFIG.models.items() if model.checkpoints]


def checkpoint_of(wildcards):
    """The weights of a member that was trained elsewhere."""
    return located(CONFIG.models[wildcards.model].checkpoints[int(wildcards.seed)])


def checkpoint_input(wildcards):
    """As an input. A file that is gone after it was imported is one that Snakemake does without; another that is not
    there is no input, so that the import is due, and refused."""
    path = checkpoint_of(wildcards)
    try:
        description = Path(at(member_folder(wildcards.model, wildcards.seed)), "best.json")
        imported = json.loads(description.read_bytes()).get("source", str(path)) == str(path)
    except (OSError, ValueError, AttributeError):
        imported = False
    return ancient(str(path)) if imported or path.is_file() else []


@functools.cache
def checkpoint_sha256(path):
    """By content: of a large file Snakemake compares the time alone, which a copy changes."""
    return sha256_of(path) if path.is_file() else ""


SCORED = [HELDOUT, *(name for name, testset in CONFIG.testsets.items() if testset.labelled)]
"""Test sets with labels."""
ESTIMATING = [name for name in ENSEMBLES if CONFIG.estimated(name)]
"""Ensembles that estimate parameters of lenses."""
BLIND = [name for name in CONFIG.testsets if name not in SCORED]
"""Test sets without."""


TEST_SETS_CHECKED = "results/splits/test_sets.json"


def parts_with_labels():
    """The folder of each part of each labelled test set, by name and part; the held-out one is no part of this."""
    return {
        (name, part): folder
        for name in SCORED
        if name != HELDOUT
        for part, folder in enumerate(packed_folders(name))
    }


def one_of(names):
    """A wildcard constraint that only these names meet; none at all if there are none."""
    return "|".join(names) or "(?!)"


wildcard_constraints:
    model=one_of(CONFIG.models),
    seed=r"\d+",
    ensemble=one_of(CONFIG.ensembles),
    testset=one_of([HELDOUT, *CONFIG.testsets]),
    part=r"\d+",
    search=one_of(CONFIG.searches),
    trial=r"\d+",


def in_clone(path):
    """A file of the clone, relative to the working folder where it can be, so that a moved clone reruns nothing."""
    moves_along = CLONE == Path.cwd() and not IS_MODULE
    return str(path.relative_to(CLONE)) if moves_along else str(path)


def script_path(name):
    """The script of a step, as an input: where it is, not when it was changed."""
    path = in_clone(SCRIPTS / name)
    # Of a function's result, braces are not read as wildcards.
    return lambda wildcards: ancient(path)


def code_of(name):
    """What a script and all library modules that it imports compute, as parameters: a value for each module, so that
    a change reruns the step, and a dry run names the module."""
    return in_words(fingerprint(SCRIPTS / name))


def doubled_at_retry(amount):
    """A resource of which the second try asks for twice as much, since the first may have failed for lack of it.

    Further tries ask for no more: a training in many pieces must not outgrow every node.
    """
    return lambda wildcards, attempt: amount * min(attempt, 2)


def as_parameter(settings):
    """Settings as the one parameter of a rule: JSON with keys in fixed order.

    Snakemake compares parameters as a set of values without names; one string says all, and which is which.
    """
    if hasattr(settings, "model_dump"):
        settings = settings.model_dump(mode="json")
    return json.dumps(settings, sort_keys=True, ensure_ascii=False)


CAPTIONS = CLONE / "workflow" / "report"


def figure(name, path, category, labels, subcategory="{ensemble}"):
    """A figure among the outputs of a rule: PNG, which the report shows with the caption `{name}.rst`, and PDF."""
    shown = report(
        path, caption=str(CAPTIONS / f"{name}.rst"), category=category, subcategory=subcategory, labels=labels
    )
    return {name: shown, f"{name}_pdf": path.removesuffix(".png") + ".pdf"}


PLOTS = {
    "roc": "ROC curve",
    "precision_recall": "Precision and recall",
    "reliability": "Reliability",
    "confusion_matrix": "Confusion matrices",
    "score_histogram": "Probabilities by class",
    "completeness": "Completeness by Einstein radius and magnitudes",
}


def score_figures(which):
    """The figures of an evaluation."""
    folder = f"results/evaluation/{{ensemble}}/{which}"
    return {
        key: value
        for name, title in PLOTS.items()
        for key, value in figure(
            name, f"{folder}/{name}.png", "4 Scores", {"figure": title, "objects": which}
        ).items()
    }


def lens_figure(which):
    """The figure of an evaluation of estimated lens parameters."""
    return figure(
        "lens_parameters",
        f"results/evaluation/{{ensemble}}/{which}/lens_parameters.png",
        "4 Scores",
        {"figure": "Estimated lens parameters", "objects": which},
    )


SIMULATED = "results/simulated"
PACKED_FILES = {
    "cutouts": "cutouts.npy",
    "index": "index.parquet",
    "parameters": "parameters.parquet",
    "rejected": "rejected.csv",
    "summary": "summary.json",
}


def pack_settings(data_set):
    """The settings of packing: of the labelled data, or of a test set."""
    if data_set == "labelled":
        settings = PackSettings.of_labelled(CONFIG.data)
    else:
        settings = PackSettings.of_testset(data_set, CONFIG.testsets[data_set], CONFIG.data)
    return settings.with_paths(lambda path: at(path) if is_simulated(path) else path)


def pack_options(wildcards):
    """The options of `build_buckets.py` that come from the config."""
    testset = wildcards.get("testset")
    options = f"--settings {shlex.quote(as_parameter(pack_settings(testset or 'labelled')))}"
    return options if testset is None else f"{options} --part {wildcards.part} --parts {n_parts(testset)}"


def simulated_data(wildcards):
    """What a simulated data set is packed from. A user's own folders are no inputs: their times mean nothing, a
    million names are not listed at every start, and they may be gone once they are packed."""
    paths = pack_settings(wildcards.get("testset", "labelled")).paths
    return [f"{SIMULATED}/simulated.json"] if CONFIG.simulate and any(map(is_simulated, paths)) else []


def is_simulated(path):
    return Path(path).is_relative_to(SIMULATED) or Path(path).is_relative_to(at(SIMULATED))


@functools.cache
def packed_summary(data_set):
    """What a packed data set says of itself, any part of it; nothing where there is none that can be read."""
    for folder in packed_folders(data_set):
        try:
            return dict(json.loads(Path(at(folder), "summary.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            continue
    return {}


def list_contents(wildcards):
    """SHA-256 of each list file, so that a changed list is packed anew, whatever its size and time.

    Of a list that is gone, that with which the data were packed: they stay.
    """
    data_set = wildcards.get("testset", "labelled")
    contents = {}
    for path in pack_settings(data_set).list_paths:
        if located(path).is_file():
            contents[path] = sha256_of(located(path))
        elif not located(path).exists() and path in (packed := packed_summary(data_set).get("lists", {})):
            contents[path] = packed[path]
    return json.dumps(contents)


def lens_truth(wildcards):
    """What is known of the lenses, where a member learns to estimate it; no input of any other member."""
    estimates = CONFIG.member_settings(wildcards.model, int(wildcards.seed)).lens_parameters
    return ancient([f"{LABELLED}/parameters.parquet"]) if estimates else []


def predict_options(wildcards):
    """The options of `predict.py` that come from the config."""
    return f"--settings {shlex.quote(as_parameter(CONFIG.models[wildcards.model].predict))}"


def member_predictions(wildcards):
    """The folders of the validation predictions of an ensemble's members."""
    return predictions_of(wildcards.ensemble, "val")


def member_test_predictions(wildcards):
    """The folders of the test predictions of an ensemble's members, each with a folder a part."""
    return predictions_of(wildcards.ensemble, wildcards.testset)


def test_prediction_files(ending):
    """An input function: a file of every member's predictions, part by part."""

    def files(wildcards):
        return [
            f"{folder}/part_{part}/pred_test.{ending}"
            for folder in member_test_predictions(wildcards)
            for part in range(n_parts(wildcards.testset))
        ]

    return files


def repeated(option, paths):
    """`--option a --option b`, each a path, quoted for the shell."""
    return " ".join(f"--{option} {shlex.quote(at(path))}" for path in paths)


def ensemble_options(wildcards):
    """The options of `ensemble.py` that come from the config. The list of members stands here and in the inputs of
    the ensembles, and nowhere else: adding a seed touches no other member."""
    ensemble = CONFIG.ensembles[wildcards.ensemble]
    settings = shlex.quote(as_parameter(ensemble.combination))
    predictions = repeated("predictions", member_predictions(wildcards))
    return f"--level {ensemble.level} --settings {settings} {predictions}"


def ensemble_test_options(wildcards):
    level = CONFIG.ensembles[wildcards.ensemble].level
    folders = member_test_predictions(wildcards)
    if wildcards.testset == HELDOUT:  # a part of the labelled data, which are packed as a whole
        folders = [f"{folder}/part_0" for folder in folders]
    return f"--level {level} {repeated('predictions', folders)} {packed_options(wildcards.testset)}"


def packed_options(testset):
    """Where a test set lies, packed: the held-out one with the labelled data, another in a folder a part."""
    if testset == HELDOUT:
        return repeated("packed", [LABELLED])
    return f"{repeated('packed', [f'results/buckets/{testset}'])} --parts {n_parts(testset)}"


def evaluate_options(testset):
    """The options of `evaluate.py` that come from the config."""
    return f"--settings {shlex.quote(as_parameter(CONFIG.evaluation))} {packed_options(testset)}"


def member_folder(model, seed):
    return f"results/models/{model}/seed_{seed}"


def member_folders(ensemble):
    return [member_folder(*member) for member in CONFIG.members(ensemble)]


def predictions_of(ensemble, which):
    """Where the members of an ensemble leave their predictions of validation (`val`) or of a test set."""
    return [f"results/predictions/{model}/seed_{seed}/{which}" for model, seed in CONFIG.members(ensemble)]


def submitted(wildcards):
    """The ensemble that a submission comes from: the one that its path names, else the one of the config."""
    return wildcards.get("ensemble", CONFIG.submission.ensemble)


def submission_inputs(ensemble):
    """The inputs of a submission from that ensemble: its answers, all objects that must have one, and for its
    record the descriptions of what the answers come from."""
    testset = CONFIG.submission.testset
    folder = f"results/ensemble/{ensemble}/{testset}"
    validation = f"results/ensemble/{ensemble}/val"
    table = "test_ens_labeled.csv" if testset in SCORED else "test_ens.csv"
    parts = packed_folders(testset)
    return {
        "script": script_path("submission.py"),
        "description": f"{folder}/test_ens.json",
        "ensemble": ancient(f"{folder}/{table}"),
        "summary": [f"{part}/summary.json" for part in parts],
        "index": ancient([f"{part}/index.parquet" for part in parts]),
        "rejected": ancient([f"{part}/rejected.csv" for part in parts]),
        "labelled": f"{LABELLED}/summary.json",
        "split": f"{SPLITS}/objects.json",
        "members": lambda wildcards: [
            f"{folder}/best.json" for folder in member_folders(submitted(wildcards))
        ],
        "val_predictions": lambda wildcards: [
            f"{folder}/pred_val.json" for folder in predictions_of(submitted(wildcards), "val")
        ],
        "test_predictions": lambda wildcards: [
            f"{folder}/part_{part}/pred_test.json"
            for folder in predictions_of(submitted(wildcards), testset)
            for part in range(n_parts(testset))
        ],
        "validation": f"{validation}/val_ens.json",
        "threshold": f"{validation}/threshold.txt",
    }


def submission_options(ensemble):
    """The options of `submission.py` that come from the config."""
    testset = CONFIG.submission.testset
    settings = CONFIG.submission.model_dump(mode="json") | {"ensemble": ensemble}
    if not CONFIG.estimated(ensemble):  # another than the submitted one, whose columns stay empty
        settings.pop("lens_parameters", None)
    return " ".join(
        [
            f"--settings {shlex.quote(as_parameter(settings))} {packed_options(testset)}",
            *(["--simulated"] if CONFIG.simulate else []),
            f"--threshold {shlex.quote(as_parameter(CONFIG.threshold))}",
            repeated("members", member_folders(ensemble)),
            repeated("val-predictions", predictions_of(ensemble, "val")),
            repeated("test-predictions", predictions_of(ensemble, testset)),
        ]
    )


def table_of(ensemble, testset):
    """The table of an ensemble for a test set."""
    name = "test_ens_labeled.csv" if testset in SCORED else "test_ens.csv"
    return f"results/ensemble/{ensemble}/{testset}/{name}"


def description_of(ensemble, testset):
    return f"results/ensemble/{ensemble}/{testset}/test_ens.json"


def named(option, paths):
    """`--option NAME=PATH` for each, quoted for the shell."""
    return " ".join(f"--{option} {shlex.quote(f'{name}={at(path)}')}" for name, path in paths.items())


def trained_members(wildcards):
    """The folders of an ensemble's members that are trained here."""
    return [
        member_folder(model, seed) for model, seed in CONFIG.members(wildcards.ensemble) if model in TRAINED
    ]


def packed_files(file):
    """An input function: a file of each part of a packed test set."""
    return lambda wildcards: [f"{folder}/{file}" for folder in packed_folders(wildcards.testset)]


BENCHMARKS = "results/benchmarks"


def jobs_of_the_run(wildcards):
    """What the benchmarks of this config's jobs are named after; the folder may hold those of others."""
    benchmarks = {
        strip_wildcard_constraints(str(rule.benchmark)) for rule in workflow.rules if rule.benchmark
    }
    # The figure cannot tell of its own job, and a workflow that uses this one as a module has jobs of its own.
    folder, own = f"{at(BENCHMARKS)}/", at(f"{BENCHMARKS}/plot_run_times.tsv")
    return as_parameter(
        {
            "patterns": sorted(
                path.removeprefix(folder) for path in benchmarks - {own} if path.startswith(folder)
            ),
            "members": {name: model.member_seeds for name, model in CONFIG.models.items()},
            "ensembles": sorted(CONFIG.ensembles),
            "parts": {name: n_parts(name) for name in [HELDOUT, *CONFIG.testsets]},
        }
    )


TRIAL_FILE = "results/search/{search}/trial_{trial}.json"


def trial_files(search):
    return [
        TRIAL_FILE.format(search=search, trial=trial) for trial in range(CONFIG.searches[search].n_trials)
    ]


def trials_at_once(search):
    """The resource of which each trial of a search takes one: no more run at once than there is of it.

    Were trials to wait for files of those before them, all would be told again where one is lost, or where
    `n_parallel` changes.
    """
    return f"trials_of_{search}"


def taken_by_trial(search):
    return lambda wildcards: int(wildcards.search == search)


for search, settings in CONFIG.searches.items():
    workflow.register_resource(trials_at_once(search), settings.n_parallel)


def searched_space(search):
    """What a search tries, as JSON."""
    settings = CONFIG.conclusion_settings(search).model_dump(mode="json")
    return as_parameter(settings["space"])


def search_figure(name, title):
    return figure(
        f"search_{name}",
        f"results/search/{{search}}/{name}.png",
        "7 Search",
        {"figure": title},
        subcategory="{search}",
    )
