"""The probabilities of each member."""


def prediction_files(folder, which):
    """The outputs of `predict.py`: the table, what describes it, and three columns of it."""
    return {
        "predictions": f"{folder}/pred_{which}.csv",
        "description": f"{folder}/pred_{which}.json",
        **{name: f"{folder}/{name}_{which}.npy" for name in ("labels", "probs", "preds")},
    }


def predict_options(which):
    """The options of `predict.py` that come from the config, and the objects to predict."""
    return lambda wildcards: f"{which} {settings_option(CONFIG.models[wildcards.model].predict)}"


rule predict_val:
    input:
        **labelled_data("cutouts", "index"),
        **objects_split(),
        script=script_path("predict.py"),
        member=f"{MEMBER}/best.json",
        weights=ancient(f"{MEMBER}/best.pt"),
    output:
        **prediction_files(f"{PREDICTIONS}/val", "val"),
    log:
        "logs/predict_val/{model}/seed_{seed}.log",
    benchmark:
        f"{BENCHMARKS}/predict_val/{{model}}/seed_{{seed}}.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        **PREDICTION,
    params:
        *code_of("predict.py"),
        options=predict_options("--split val"),
    shell:
        'python {input.script:q} --member "$(dirname {input.member:q})" --packed "$(dirname {input.summary:q})"'
        ' --splits "$(dirname {input.split:q})" {params.options} --out-dir "$(dirname {output.description:q})"'
        " --device {resources.device:q} --compile {resources.compile:q}"
        f" --batch-size {{resources.batch_size}} --choices {CHOICES} --threads {{threads}} --log {{log:q}}"


# For who learns from an ensemble: what its members say of the objects that they have learnt from themselves.
use rule predict_val as predict_train with:
    output:
        **prediction_files(f"{PREDICTIONS}/train", "train"),
    log:
        "logs/predict_train/{model}/seed_{seed}.log",
    benchmark:
        f"{BENCHMARKS}/predict_train/{{model}}/seed_{{seed}}.tsv"
    params:
        options=predict_options("--split train"),


rule predict_test:
    input:
        script=script_path("predict.py"),
        member=f"{MEMBER}/best.json",
        weights=ancient(f"{MEMBER}/best.pt"),
        summary="results/buckets/{testset}/part_{part}/summary.json",
        cutouts=ancient("results/buckets/{testset}/part_{part}/cutouts.npy"),
        index=ancient("results/buckets/{testset}/part_{part}/index.parquet"),
    output:
        **prediction_files(f"{PREDICTIONS}/{{testset}}/part_{{part}}", "test"),
    log:
        "logs/predict_test/{model}/seed_{seed}/{testset}_part_{part}.log",
    benchmark:
        f"{BENCHMARKS}/predict_test/{{model}}/seed_{{seed}}/{{testset}}_part_{{part}}.tsv"
    wildcard_constraints:
        testset=one_of(CONFIG.testsets),
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        **PREDICTION,
    params:
        *code_of("predict.py"),
        options=predict_options("--which test"),
    shell:
        'python {input.script:q} --member "$(dirname {input.member:q})" --packed "$(dirname {input.summary:q})"'
        ' {params.options} --out-dir "$(dirname {output.description:q})"'
        " --device {resources.device:q} --compile {resources.compile:q}"
        f" --batch-size {{resources.batch_size}} --choices {CHOICES} --threads {{threads}} --log {{log:q}}"


use rule predict_val as predict_heldout with:
    output:
        **prediction_files(f"{PREDICTIONS}/{HELDOUT}/part_0", "test"),
    log:
        "logs/predict_test/{model}/seed_{seed}/heldout_part_0.log",
    benchmark:
        f"{BENCHMARKS}/predict_heldout/{{model}}/seed_{{seed}}.tsv"
    params:
        options=predict_options("--split test"),
