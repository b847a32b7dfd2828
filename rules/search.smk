"""Searches for the best settings of a model. Nothing asks for them but `snakemake search_NAME`."""

from stronglens.formats.trial_files import TrialResult

SEARCH = "results/search/{search}"


def trial_file(search, trial):
    return f"{SEARCH}/trial_{{trial}}.json".format(search=search, trial=trial)


def trial_files(wildcards):
    return [
        trial_file(wildcards.search, trial) for trial in range(CONFIG.searches[wildcards.search].n_trials)
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
    limit_resource(trials_at_once(search), settings.n_parallel)


def trial_start_sha256(wildcards):
    """As `start_sha256` of a member."""
    try:
        stated = TrialResult.read(Path(at(trial_file(wildcards.search, wildcards.trial)))).settings
    except InputError:
        stated = None
    return sha256_of_start(CONFIG.models[CONFIG.searches[wildcards.search].model].shared, stated)


def trial_truth(wildcards):
    """As `lens_truth` of a member."""
    model = CONFIG.models[CONFIG.searches[wildcards.search].model]
    return ancient([f"{LABELLED}/parameters.parquet"]) if model.lens_parameters else []


rule run_trial:
    input:
        **labelled_data("cutouts", "index"),
        **objects_split(),
        script=script_path("run_trial.py"),
        parameters=trial_truth,
        test_sets=ancient(TEST_SETS_CHECKED),
    output:
        trial=f"{SEARCH}/trial_{{trial}}.json",
    log:
        "logs/run_trial/{search}/trial_{trial}.log",
    benchmark:
        f"{BENCHMARKS}/run_trial/{{search}}/trial_{{trial}}.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        **{trials_at_once(search): taken_by_trial(search) for search in CONFIG.searches},
        **TRAINING,
    params:
        *code_of("run_trial.py"),
        settings=lambda wildcards: as_parameter(CONFIG.trial_settings(wildcards.search)),
        start=trial_start_sha256,
    shell:
        'python {input.script:q} --packed "$(dirname {input.summary:q})" --splits "$(dirname {input.split:q})"'
        " --out {output.trial:q} --search {wildcards.search} --trial {wildcards.trial} --settings {params.settings:q}"
        " --device {resources.device:q} --compile {resources.compile:q} --threads {threads}"
        f" --choices {CHOICES} --log {{log:q}}"


def conclude_options(wildcards):
    settings = CONFIG.conclusion_settings(wildcards.search)
    return f"{settings_option(settings)} {repeated('trials', trial_files(wildcards))}"


rule conclude_search:
    input:
        script=script_path("conclude_search.py"),
        trials=trial_files,
    output:
        table=f"{SEARCH}/trials.csv",
        best=f"{SEARCH}/best.yaml",
    log:
        "logs/conclude_search/{search}.log",
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("conclude_search.py"),
        options=conclude_options,
    shell:
        "python {input.script:q} --search {wildcards.search} {params.options}"
        ' --out-dir "$(dirname {output.best:q})" --log {log:q}'


def search_figure(name, title):
    return figure(f"search_{name}", f"{SEARCH}/{name}.png", "7 Search", title, "{search}")


def plot_search_options(wildcards):
    """What the search tries, and its trials."""
    space = CONFIG.conclusion_settings(wildcards.search).model_dump(mode="json")["space"]
    return f"{settings_option(space, 'space')} {repeated('trials', trial_files(wildcards))}"


rule plot_search:
    input:
        script=script_path("plot_search.py"),
        trials=trial_files,
    output:
        **search_figure("history", "Trials one after the other"),
        **search_figure("slices", "Trials by each key"),
        **search_figure("learning_curves", "Learning curves of all trials"),
        **search_figure("importance", "Importance of the keys"),
    log:
        "logs/plot_search/{search}.log",
    benchmark:
        f"{BENCHMARKS}/plot_search/{{search}}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("plot_search.py"),
        options=plot_search_options,
    shell:
        "python {input.script:q} {params.options} --search {wildcards.search}"
        ' --out-dir "$(dirname {output.search_history:q})" --log {log:q}'


for search in CONFIG.searches:

    rule:
        name:
            f"search_{search}"
        input:
            f"results/search/{search}/best.yaml",
            f"results/search/{search}/history.png",
