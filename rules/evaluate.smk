"""Scores of the ensembles; how blind data differ from those to learn from; what simulations alone are worth."""


def evaluate_options(testset):
    """The options of `evaluate.py` that come from the config."""
    return f"{settings_option(CONFIG.evaluation)} {packed_options(testset)}"


def described(wildcards):
    """What describes the table of an ensemble, for validation or a labelled test set."""
    return description_of(wildcards.ensemble, wildcards.which)


def scored(wildcards):
    """That table."""
    return ancient(table_of(wildcards.ensemble, wildcards.which))


def scored_objects(wildcards):
    """Where the objects of that table are, packed; those of validation with the held-out ones."""
    return packed_options(HELDOUT if wildcards.which == "val" else wildcards.which)


rule evaluate_val:
    input:
        **labelled_data("parameters"),
        script=script_path("evaluate.py"),
        description=rules.ensemble_val.output.description,
        ensemble=ancient(f"{ENSEMBLE}/val/val_ens.csv"),
        threshold=rules.threshold.output.threshold,
    output:
        json=f"{EVALUATION}/val/metrics.json",
        field=f"{EVALUATION}/val/field_metrics.json",
        completeness_table=f"{EVALUATION}/val/completeness.csv",
        table=f"{EVALUATION}/val/metrics.csv",
    log:
        "logs/evaluate_val/{ensemble}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate_val/{{ensemble}}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("evaluate.py"),
        options=evaluate_options(HELDOUT),
    shell:
        "python {input.script:q} --csv {input.ensemble:q} --threshold-file {input.threshold:q} {params.options}"
        ' --out-dir "$(dirname {output.table:q})" --metrics-json {output.json:q} --log {log:q}'


def images_compared(wildcards):
    """Where a labelled set of the user's shares images with the training data, this fails, and nothing is scored."""
    if wildcards.testset == HELDOUT:
        return []
    return [f"{DRIFT}/drift.json".format(**wildcards), TEST_SETS_CHECKED]


# The honest score: t* comes from the validation split, the objects from a set that no one has looked at.
use rule evaluate_val as evaluate_test with:
    input:
        script=script_path("evaluate.py"),
        description=rules.ensemble_test_labelled.output.description,
        ensemble=ancient(f"{ENSEMBLE}/{{testset}}/test_ens_labeled.csv"),
        threshold=rules.threshold.output.threshold,
        validation=rules.threshold.output.metrics,
        summary=packed_files("summary.json"),
        parameters=large_packed_files("parameters.parquet"),
        compared=images_compared,
    output:
        json=f"{ENSEMBLE}/{{testset}}/metrics_test_ens.json",
        field=f"{EVALUATION}/{{testset}}/field_metrics.json",
        completeness_table=f"{EVALUATION}/{{testset}}/completeness.csv",
        table=f"{EVALUATION}/{{testset}}/metrics.csv",
    log:
        "logs/evaluate_test/{ensemble}/{testset}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate_test/{{ensemble}}/{{testset}}.tsv"
    wildcard_constraints:
        testset=one_of(SCORED),
    params:
        options=lambda wildcards: (
            repeated("validation-metrics", [f"{ENSEMBLE}/val/metrics_val_ens.json".format(**wildcards)])
            + f" {evaluate_options(wildcards.testset)}"
        ),


rule evaluate_lens:
    input:
        script=script_path("evaluate_lens_parameters.py"),
        description=described,
        ensemble=scored,
        threshold=rules.threshold.output.threshold,
        summary=packed_files("summary.json"),
        parameters=large_packed_files("parameters.parquet"),
    output:
        json=f"{EVALUATION}/{{which}}/lens_parameters.json",
        table=f"{EVALUATION}/{{which}}/lens_parameters.csv",
    log:
        "logs/evaluate_lens/{ensemble}/{which}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate_lens/{{ensemble}}/{{which}}.tsv"
    wildcard_constraints:
        ensemble=one_of(ESTIMATING),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("evaluate_lens_parameters.py"),
        options=scored_objects,
    shell:
        "python {input.script:q} --csv {input.ensemble:q} --threshold-file {input.threshold:q} {params.options}"
        ' --out-dir "$(dirname {output.table:q})" --log {log:q}'


rule compare_data:
    input:
        **labelled_data("cutouts", "index"),
        **objects_split(),
        script=script_path("compare_data.py"),
        blind_summary=packed_files("summary.json"),
        blind_cutouts=large_packed_files("cutouts.npy"),
        blind_index=large_packed_files("index.parquet"),
        validation=rules.ensemble_val.output.description,
        val_ensemble=ancient(f"{ENSEMBLE}/val/val_ens.csv"),
        description=f"{ENSEMBLE}/{{testset}}/test_ens.json",
        ensemble=lambda wildcards: ancient(table_of(wildcards.ensemble, wildcards.testset)),
    output:
        json=f"{DRIFT}/drift.json",
        values=f"{DRIFT}/drift_values.parquet",
    log:
        "logs/compare_data/{ensemble}/{testset}.log",
    benchmark:
        f"{BENCHMARKS}/compare_data/{{ensemble}}/{{testset}}.tsv"
    wildcard_constraints:
        testset=one_of(CONFIG.testsets),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("compare_data.py"),
        options=lambda wildcards: packed_options(wildcards.testset),
    shell:
        'python {input.script:q} --labelled "$(dirname {input.summary:q})" --splits "$(dirname {input.split:q})"'
        " {params.options} --val-csv {input.val_ensemble:q} --test-csv {input.ensemble:q}"
        ' --out-dir "$(dirname {output.json:q})" --log {log:q}'


def transfer_result(wildcards):
    """What the submitted ensemble loses from the domains to learn from to those to be scored on."""
    transfer = CONFIG.transfer_of_domains
    if transfer is None:
        train_on, *test_on = CONFIG.domains
        refuse(
            f"{CONFIG_FILES[0]}: transfer: expected domains to learn from and others to be scored on, found none; "
            + (
                f"for example transfer: {{train_on: [{train_on}], test_on: [{test_on[-1]}]}}"
                if test_on
                else f"the labelled data have only one, {train_on}"
            )
        )
    return f"results/transfer/{CONFIG.submission.ensemble}/{side(transfer.train_on)}_to_{side(transfer.test_on)}.json"


rule measure_transfer:
    input:
        script=script_path("measure_transfer.py"),
        description=f"{ENSEMBLE}_on_{{source}}/heldout/test_ens.json",
        ensemble=ancient(f"{ENSEMBLE}_on_{{source}}/heldout/test_ens_labeled.csv"),
        threshold=f"{ENSEMBLE}_on_{{source}}/val/threshold.txt",
        reference_description=f"{ENSEMBLE}/heldout/test_ens.json",
        reference=ancient(f"{ENSEMBLE}/heldout/test_ens_labeled.csv"),
        reference_threshold=rules.threshold.output.threshold,
    output:
        json="results/transfer/{ensemble}/{source}_to_{target}.json",
    log:
        "logs/measure_transfer/{ensemble}/{source}_to_{target}.log",
    benchmark:
        f"{BENCHMARKS}/measure_transfer/{{ensemble}}/{{source}}_to_{{target}}.tsv"
    wildcard_constraints:
        ensemble=one_of(TRANSFERABLE),
        source=one_of(SIDES),
        target=one_of(SIDES),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("measure_transfer.py"),
        options=lambda wildcards: " ".join(
            f"--{option} {domain}" for option in ("source", "target") for domain in SIDES[wildcards[option]]
        ),
    shell:
        "python {input.script:q} --csv {input.ensemble:q} --threshold-file {input.threshold:q} {params.options}"
        " --reference-csv {input.reference:q} --reference-threshold-file {input.reference_threshold:q}"
        " --out {output.json:q} --log {log:q}"
