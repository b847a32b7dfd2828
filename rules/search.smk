"""Searches for the best settings of a model. Nothing asks for them but `snakemake search_NAME`."""


rule run_trial:
    input:
        script=script_path("run_trial.py"),
        summary=f"{LABELLED}/summary.json",
        cutouts=ancient(f"{LABELLED}/cutouts.npy"),
        index=ancient(f"{LABELLED}/index.parquet"),
        split=f"{SPLITS}/objects.json",
        objects=ancient(f"{SPLITS}/objects.parquet"),
        parameters=lambda wildcards: (
            ancient([f"{LABELLED}/parameters.parquet"])
            if CONFIG.models[CONFIG.searches[wildcards.search].model].lens_parameters
            else []
        ),
        test_sets=ancient(TEST_SETS_CHECKED),
    output:
        trial=TRIAL_FILE,
    log:
        "logs/run_trial/{search}/trial_{trial}.log",
    benchmark:
        "results/benchmarks/run_trial/{search}/trial_{trial}.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        **{trials_at_once(search): taken_by_trial(search) for search in CONFIG.searches},
        gpu=1,
        mem_mb=doubled_at_retry(48_000),
        # As for train: it goes on where the first try was cut.
        runtime=72 * 60,
        device="auto",
        compile="auto",
    params:
        *code_of("run_trial.py"),
        settings=lambda wildcards: as_parameter(CONFIG.trial_settings(wildcards.search)),
    shell:
        'python {input.script:q} --packed "$(dirname {input.summary:q})" --splits "$(dirname {input.split:q})"'
        " --out {output.trial:q} --search {wildcards.search} --trial {wildcards.trial} --settings {params.settings:q}"
        " --device {resources.device:q} --compile {resources.compile:q} --threads {threads} --log {log:q}"


rule conclude_search:
    input:
        script=script_path("conclude_search.py"),
        trials=lambda wildcards: trial_files(wildcards.search),
    output:
        table="results/search/{search}/trials.csv",
        best="results/search/{search}/best.yaml",
    log:
        "logs/conclude_search/{search}.log",
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("conclude_search.py"),
        options=lambda wildcards: " ".join(
            [
                f"--settings {shlex.quote(as_parameter(CONFIG.conclusion_settings(wildcards.search)))}",
                repeated("trials", trial_files(wildcards.search)),
            ]
        ),
    shell:
        "python {input.script:q} --search {wildcards.search} {params.options}"
        ' --out-dir "$(dirname {output.best:q})" --log {log:q}'


rule plot_search:
    input:
        script=script_path("plot_search.py"),
        trials=lambda wildcards: trial_files(wildcards.search),
    output:
        **search_figure("history", "Trials one after the other"),
        **search_figure("slices", "Trials by each key"),
        **search_figure("learning_curves", "Learning curves of all trials"),
        **search_figure("importance", "Importance of the keys"),
    log:
        "logs/plot_search/{search}.log",
    benchmark:
        "results/benchmarks/plot_search/{search}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("plot_search.py"),
        options=lambda wildcards: " ".join(
            [
                f"--space {shlex.quote(searched_space(wildcards.search))}",
                repeated("trials", trial_files(wildcards.search)),
            ]
        ),
    shell:
        'python {input.script:q} {params.options} --out-dir "$(dirname {output.search_history:q})" --log {log:q}'


for search in CONFIG.searches:

    rule:
        name:
            f"search_{search}"
        input:
            f"results/search/{search}/best.yaml",
            f"results/search/{search}/history.png",
