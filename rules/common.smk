"""What all rules share: the checked config, the sources of a step, the settings of a step as one parameter."""

import json
import shlex
import sys
from functools import partial

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

SCRIPTS = Path(workflow.basedir) / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from stronglens.config import check_config, check_sources
from stronglens.errors import InputError
from stronglens.settings.data import BUCKETS, CutoutSettings
from stronglens.sources import sources_of

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

LABELLED = "results/buckets/labelled"
SPLITS = "results/splits"
HELDOUT = "heldout"


def n_parts(testset):
    return 1 if testset == HELDOUT else CONFIG.testsets[testset].parts


def packed_folders(testset):
    """The folders of a test set's parts, packed; the held-out test set lies in the labelled data."""
    if testset == HELDOUT:
        return [LABELLED]
    return [f"results/buckets/{testset}/part_{part}" for part in range(n_parts(testset))]


PACKED = [
    name
    for name, folders in {"labelled": [LABELLED], **{name: packed_folders(name) for name in CONFIG.testsets}}.items()
    if all(Path(folder, "summary.json").exists() for folder in folders)
]
"""Data sets that need no reading any more."""

SOURCE_PROBLEMS = check_sources(CONFIG, PACKED)
"""Data paths that are not there: a warning while the graph is looked at, an error before anything runs."""

if workflow.is_main_process:
    data_said = "simulated data" if CONFIG.simulate else "the user's data"
    logger.info(f"Config {CONFIG_FILES[0]}, {data_said}")
    for problem in SOURCE_PROBLEMS:
        logger.warning(problem)

if "conda" not in [str(method) for method in workflow.deployment_settings.deployment_method]:
    # A node's PATH need not hold the environment that snakemake was started from. The path is quoted for the
    # shell, and its braces for Snakemake.
    bin_folder = shlex.quote(str(Path(sys.executable).parent)).replace("{", "{{").replace("}", "}}")
    shell.prefix(f"set -euo pipefail; export PATH={bin_folder}:$PATH; ")


onstart:
    if SOURCE_PROBLEMS:
        raise WorkflowError("\n".join(SOURCE_PROBLEMS))


TRAINED = [name for name, model in CONFIG.models.items() if not model.checkpoints]
READY = [name for name, model in CONFIG.models.items() if model.checkpoints]
SCORED = [HELDOUT, *(name for name, testset in CONFIG.testsets.items() if testset.labelled)]
"""Test sets with labels."""
BLIND = [name for name in CONFIG.testsets if name not in SCORED]
"""Test sets without."""


def one_of(names):
    """A wildcard constraint that only these names meet; none at all if there are none."""
    return "|".join(names) or "(?!)"


wildcard_constraints:
    model=one_of(CONFIG.models),
    seed=r"\d+",
    ensemble=one_of(CONFIG.ensembles),
    testset=one_of([HELDOUT, *CONFIG.testsets]),
    part=r"\d+",


def sources(script):
    """The script of a step and all library modules it imports: editing one of them reruns the step.

    Paths are relative to the working folder where they can be, so that a moved clone reruns nothing.
    """
    base = Path(workflow.basedir)
    prefix = "" if base == Path.cwd() else f"{base}/"
    return [f"{prefix}{path}" for path in sources_of(SCRIPTS / script, base)]


def as_parameter(settings):
    """Settings as the one parameter of a rule: JSON with keys in fixed order.

    Snakemake compares parameters as a set of values without names; one string says all, and which is which.
    """
    if hasattr(settings, "model_dump"):
        settings = settings.model_dump(mode="json")
    return json.dumps(settings, sort_keys=True, ensure_ascii=False)
