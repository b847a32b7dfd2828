"""Members combined, and t* chosen on their validation ensemble."""


def val_predictions(ending, split="val"):
    """An input function: the validation predictions of each member of an ensemble, or those of another split."""
    return lambda wildcards: [
        f"{folder}/pred_{split}.{ending}" for folder in predictions_of(wildcards.ensemble, split)
    ]


def test_predictions(ending):
    """An input function: the test predictions of each member of an ensemble, part by part."""
    return lambda wildcards: [
        f"{folder}/part_{part}/pred_test.{ending}"
        for folder in predictions_of(wildcards.ensemble, wildcards.testset)
        for part in range(n_parts(wildcards.testset))
    ]


def lens_truth_of_ensemble(wildcards):
    """What is known of the lenses, where widths of lens parameters are calibrated; no input of any other ensemble."""
    return ancient([f"{LABELLED}/parameters.parquet"]) if CONFIG.has_uncertainties(wildcards.ensemble) else []


def ensemble_val_options(wildcards):
    """The options of `ensemble.py` that come from the config. The list of members stands here and in the inputs of
    the ensembles, and nowhere else: adding a seed touches no other member."""
    ensemble = CONFIG.ensembles[wildcards.ensemble]
    predictions = repeated("predictions", predictions_of(wildcards.ensemble, "val"))
    return f"--which val --level {ensemble.level} {settings_option(ensemble.combination)} {predictions}"


def ensemble_train_options(wildcards):
    level = CONFIG.ensembles[wildcards.ensemble].level
    validation = repeated("validation", [description_of(wildcards.ensemble, "val")])
    predictions = repeated("predictions", predictions_of(wildcards.ensemble, "train"))
    return f"--which train --level {level} {validation} {predictions}"


def ensemble_test_options(wildcards):
    level = CONFIG.ensembles[wildcards.ensemble].level
    folders = predictions_of(wildcards.ensemble, wildcards.testset)
    if wildcards.testset == HELDOUT:  # a part of the labelled data, which are packed as a whole
        folders = [f"{folder}/part_0" for folder in folders]
    return f"--level {level} {repeated('predictions', folders)} {packed_options(wildcards.testset)}"


rule ensemble_val:
    input:
        **labelled_data("index"),
        script=script_path("ensemble.py"),
        descriptions=val_predictions("json"),
        predictions=lambda wildcards: ancient(val_predictions("csv")(wildcards)),
        parameters=lens_truth_of_ensemble,
    output:
        ensemble=f"{ENSEMBLE}/val/val_ens.csv",
        description=f"{ENSEMBLE}/val/val_ens.json",
    log:
        "logs/ensemble_val/{ensemble}.log",
    benchmark:
        f"{BENCHMARKS}/ensemble_val/{{ensemble}}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("ensemble.py"),
        options=ensemble_val_options,
    shell:
        'python {input.script:q} {params.options} --packed "$(dirname {input.summary:q})"'
        ' --out-dir "$(dirname {output.description:q})" --log {log:q}'


# What an ensemble says of the objects to learn from, for who learns it: on demand of a model with `distil_from`.
use rule ensemble_val as ensemble_train with:
    input:
        **labelled_data("index"),
        script=script_path("ensemble.py"),
        validation=rules.ensemble_val.output.description,
        descriptions=val_predictions("json", "train"),
        predictions=lambda wildcards: ancient(val_predictions("csv", "train")(wildcards)),
    output:
        ensemble=f"{ENSEMBLE}/train/train_ens.csv",
        description=f"{ENSEMBLE}/train/train_ens.json",
    log:
        "logs/ensemble_train/{ensemble}.log",
    benchmark:
        f"{BENCHMARKS}/ensemble_train/{{ensemble}}.tsv"
    params:
        options=ensemble_train_options,


rule threshold:
    input:
        script=script_path("threshold.py"),
        description=rules.ensemble_val.output.description,
        ensemble=ancient(f"{ENSEMBLE}/val/val_ens.csv"),
        descriptions=val_predictions("json"),
        predictions=lambda wildcards: ancient(val_predictions("csv")(wildcards)),
    output:
        threshold=f"{ENSEMBLE}/val/threshold.txt",
        metrics=f"{ENSEMBLE}/val/metrics_val_ens.json",
    log:
        "logs/threshold/{ensemble}.log",
    benchmark:
        f"{BENCHMARKS}/threshold/{{ensemble}}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("threshold.py"),
        options=lambda wildcards: (
            f"{settings_option(CONFIG.threshold)}"
            f" {repeated('predictions', predictions_of(wildcards.ensemble, 'val'))}"
        ),
    shell:
        "python {input.script:q} --ensemble-csv {input.ensemble:q} {params.options}"
        ' --out-dir "$(dirname {output.threshold:q})" --log {log:q}'


rule ensemble_test:
    input:
        script=script_path("ensemble.py"),
        descriptions=test_predictions("json"),
        predictions=lambda wildcards: ancient(test_predictions("csv")(wildcards)),
        summary=packed_files("summary.json"),
        index=large_packed_files("index.parquet"),
        threshold=rules.threshold.output.threshold,
        validation=rules.ensemble_val.output.description,
    output:
        ensemble=f"{ENSEMBLE}/{{testset}}/test_ens.csv",
        description=f"{ENSEMBLE}/{{testset}}/test_ens.json",
    log:
        "logs/ensemble_test/{ensemble}/{testset}.log",
    benchmark:
        f"{BENCHMARKS}/ensemble_test/{{ensemble}}/{{testset}}.tsv"
    wildcard_constraints:
        testset=one_of(BLIND),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("ensemble.py"),
        options=ensemble_test_options,
    shell:
        "python {input.script:q} {params.options} --which test --threshold {input.threshold:q}"
        " --validation {input.validation:q}"
        ' --out-dir "$(dirname {output.description:q})" --log {log:q}'


use rule ensemble_test as ensemble_test_labelled with:
    output:
        ensemble=f"{ENSEMBLE}/{{testset}}/test_ens_labeled.csv",
        description=f"{ENSEMBLE}/{{testset}}/test_ens.json",
    benchmark:
        f"{BENCHMARKS}/ensemble_test_labelled/{{ensemble}}/{{testset}}.tsv"
    wildcard_constraints:
        testset=one_of(SCORED),
    params:
        options=lambda wildcards: f"--labelled {ensemble_test_options(wildcards)}",
