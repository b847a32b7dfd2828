"""All that is used of Snakemake beyond its documented API: tried with 9.27, and below the bound in pyproject.toml.

Each name here says what it gives; other files use these names. tests/project/test_rules.py keeps it so.
"""

from collections import defaultdict

from snakemake.io import strip_wildcard_constraints
from snakemake.logging import logger
from snakemake.sourcecache import LocalGitFile, LocalSourceFile

# Whether another workflow uses this one as a module, and its name there.
IS_MODULE = not workflow.modifier.is_main_snakefile()
MODULE_NAME = workflow.modifier.namespace

# `module` with `config:` gives a config and reads no file.
CONFIG_COMES_WITH_MODULE = workflow.modifier.skip_configfile

# Files of --configfile. `config` alone does not say what it was read from.
GIVEN_CONFIG_FILES = [str(path) for path in workflow.overwrite_configfiles]

# The Snakefile is read anew by each job; messages and checks belong to the first process.
IS_MAIN_PROCESS = workflow.is_main_process

# "conda", "apptainer": whether the jobs run in environments of their own.
DEPLOYMENTS = {str(method) for method in workflow.deployment_settings.deployment_method}

# How paths of this module get its prefix; kept, since `workflow.modifier` is another once all is read.
PATHS = workflow.modifier.path_modifier


def refuse(message):
    """End Snakemake with a message alone, and exit code 1.

    Around an exception it would print, before and after, the place in the Snakefile that raised it: nobody who has
    mistyped a key looks there. The log of the run gets the message too.
    """
    logger.error(str(message))
    raise SystemExit(1)


def at(path):
    """Where a file of the results is, for a command line: under the prefix of a module, if it has one.

    Snakemake prefixes the paths in a rule's inputs and outputs, and not those in its parameters.
    """
    return str(PATHS.replace_prefix(path))


def place_of_rules():
    """The folder of the file that is being included; of a `gitfile`: the repository, the revision, the folder in it."""
    place = workflow.current_basedir
    if isinstance(place, LocalSourceFile):
        return Path(place.get_path_or_uri(secret_free=True))
    if isinstance(place, LocalGitFile):
        return place.repo_path, place.ref, place.path
    refuse(
        f"{place}: expected a workflow on disk, whose scripts can run; "
        "clone it, and name the Snakefile of the clone, or gitfile(CLONE, path='Snakefile', commit=...)"
    )


def read_config_files():
    """The config files that were read with `configfile:`."""
    return list(workflow.configfiles)


def limit_resource(name, amount):
    """As `--resources name=amount`: all jobs at once take no more."""
    workflow.register_resource(name, amount)


def benchmark_paths():
    """The `benchmark:` of each rule, with wildcards, of a workflow that uses this one too."""
    return {strip_wildcard_constraints(str(rule.benchmark)) for rule in workflow.rules if rule.benchmark}


def starting_outputs():
    """The outputs of all jobs that this run will start. Only once the graph is built."""
    return {str(path) for job in workflow.dag.needrun_jobs() for path in job.output}


def needed_outputs():
    """The outputs of all jobs in the graph, whether they start or are done."""
    return {str(path) for job in workflow.dag.jobs for path in job.output}


def given_resources():
    """The resources that options and profiles set, by the option."""
    settings = workflow.resource_settings
    return {
        **{f"set-resources: {rule}": keys for rule, keys in settings.overwrite_resources.items()},
        "default-resources": settings.default_resources or {},
        "resources": settings.resources,
    }


def ask_each_job_for_its_own_reasons(dag):
    """Mend https://github.com/snakemake/snakemake/issues/4166: a job downstream of one that runs is not asked whether
    its own parameters, inputs or a force call for it. Where only `ancient` inputs lie between the two, nothing else
    does either, and it would be left out without a word.
    """
    update, search = dag.update_needrun, dag.bfs

    async def update_needrun(*arguments, **options):
        compelling = {
            job: {
                other: files for other, files in found.items() if not all(file.is_ancient for file in files)
            }
            for job, found in dag.depending.items()
        }
        # Snakemake's search for the jobs that another compels, the only one in this function.
        dag.bfs = lambda _, *jobs: search(defaultdict(dict, compelling), *jobs)
        try:
            await update(*arguments, **options)
        finally:
            del dag.bfs

    dag.update_needrun = update_needrun


def check_before_first_job(problems_of, forced_together):
    """Refuse a run between the building of the graph and the first job, and a dry run at its end, for any problem
    that `problems_of()` lists; force what is forced together: {rule: another}.

    Snakemake calls `onstart` there, but neither in a dry run, nor with --no-hooks, nor for a module.
    """
    build_graph, execute = workflow._build_dag, workflow.execute
    problems = []

    def build_and_check():
        ask_each_job_for_its_own_reasons(workflow.dag)
        build_graph()
        if not workflow.touch:
            problems.extend(problems_of())
        if problems and not workflow.dryrun:
            refuse("\n".join([*problems, "Nothing was run."]))

    def execute_guarded(*arguments, **options):
        forced = set(workflow.dag_settings.forcerun)
        if more := {forced_together[rule] for rule in forced & forced_together.keys()}:
            workflow.dag_settings.forcerun = forced | more
        workflow._build_dag = build_and_check
        execute(*arguments, **options)
        if problems:
            refuse("\n".join(problems))

    workflow.execute = execute_guarded
