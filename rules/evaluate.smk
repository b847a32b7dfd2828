rule evaluate_val:
    input:
        script=script_path("evaluate.py"),
        description="results/ensemble/{ensemble}/val/val_ens.json",
        ensemble=ancient("results/ensemble/{ensemble}/val/val_ens.csv"),
        threshold="results/ensemble/{ensemble}/val/threshold.txt",
        summary=f"{LABELLED}/summary.json",
        parameters=ancient(f"{LABELLED}/parameters.parquet"),
    output:
        json="results/evaluation/{ensemble}/val/metrics.json",
        field="results/evaluation/{ensemble}/val/field_metrics.json",
        completeness_table="results/evaluation/{ensemble}/val/completeness.csv",
        table="results/evaluation/{ensemble}/val/metrics.csv",
    log:
        "logs/evaluate_val/{ensemble}.log",
    benchmark:
        "results/benchmarks/evaluate_val/{ensemble}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("evaluate.py"),
        options=evaluate_options("heldout"),
    shell:
        "python {input.script:q} --csv {input.ensemble:q} --threshold-file {input.threshold:q} {params.options}"
        ' --out-dir "$(dirname {output.table:q})" --metrics-json {output.json:q} --log {log:q}'


# The honest score: t* comes from the validation split, the objects from a set that no one has looked at.
use rule evaluate_val as evaluate_test with:
    input:
        script=script_path("evaluate.py"),
        description="results/ensemble/{ensemble}/{testset}/test_ens.json",
        ensemble=ancient("results/ensemble/{ensemble}/{testset}/test_ens_labeled.csv"),
        threshold="results/ensemble/{ensemble}/val/threshold.txt",
        validation="results/ensemble/{ensemble}/val/metrics_val_ens.json",
        summary=lambda wildcards: [f"{folder}/summary.json" for folder in packed_folders(wildcards.testset)],
        parameters=lambda wildcards: ancient(
            [f"{folder}/parameters.parquet" for folder in packed_folders(wildcards.testset)]
        ),
        # Where a labelled set of the user's shares images with the training data, this fails, and nothing is scored.
        compared=lambda wildcards: (
            []
            if wildcards.testset == HELDOUT
            else [f"results/drift/{wildcards.ensemble}/{wildcards.testset}/drift.json", TEST_SETS_CHECKED]
        ),
    output:
        json="results/ensemble/{ensemble}/{testset}/metrics_test_ens.json",
        field="results/evaluation/{ensemble}/{testset}/field_metrics.json",
        completeness_table="results/evaluation/{ensemble}/{testset}/completeness.csv",
        table="results/evaluation/{ensemble}/{testset}/metrics.csv",
    log:
        "logs/evaluate_test/{ensemble}/{testset}.log",
    benchmark:
        "results/benchmarks/evaluate_test/{ensemble}/{testset}.tsv"
    wildcard_constraints:
        testset=one_of(SCORED),
    params:
        options=lambda wildcards: (
            repeated(
                "validation-metrics", [f"results/ensemble/{wildcards.ensemble}/val/metrics_val_ens.json"]
            )
            + f" {evaluate_options(wildcards.testset)}"
        ),


rule evaluate_lens_val:
    input:
        script=script_path("evaluate_lens_parameters.py"),
        description="results/ensemble/{ensemble}/val/val_ens.json",
        ensemble=ancient("results/ensemble/{ensemble}/val/val_ens.csv"),
        threshold="results/ensemble/{ensemble}/val/threshold.txt",
        summary=f"{LABELLED}/summary.json",
        parameters=ancient(f"{LABELLED}/parameters.parquet"),
    output:
        json="results/evaluation/{ensemble}/val/lens_parameters.json",
        table="results/evaluation/{ensemble}/val/lens_parameters.csv",
    log:
        "logs/evaluate_lens_val/{ensemble}.log",
    benchmark:
        "results/benchmarks/evaluate_lens_val/{ensemble}.tsv"
    wildcard_constraints:
        ensemble=one_of(ESTIMATING),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("evaluate_lens_parameters.py"),
        options=packed_options(HELDOUT),
    shell:
        "python {input.script:q} --csv {input.ensemble:q} --threshold-file {input.threshold:q} {params.options}"
        ' --out-dir "$(dirname {output.table:q})" --log {log:q}'


use rule evaluate_lens_val as evaluate_lens_test with:
    input:
        script=script_path("evaluate_lens_parameters.py"),
        description="results/ensemble/{ensemble}/{testset}/test_ens.json",
        ensemble=ancient("results/ensemble/{ensemble}/{testset}/test_ens_labeled.csv"),
        threshold="results/ensemble/{ensemble}/val/threshold.txt",
        summary=lambda wildcards: [f"{folder}/summary.json" for folder in packed_folders(wildcards.testset)],
        parameters=lambda wildcards: ancient(
            [f"{folder}/parameters.parquet" for folder in packed_folders(wildcards.testset)]
        ),
    output:
        json="results/evaluation/{ensemble}/{testset}/lens_parameters.json",
        table="results/evaluation/{ensemble}/{testset}/lens_parameters.csv",
    log:
        "logs/evaluate_lens_test/{ensemble}/{testset}.log",
    benchmark:
        "results/benchmarks/evaluate_lens_test/{ensemble}/{testset}.tsv"
    wildcard_constraints:
        ensemble=one_of(ESTIMATING),
        testset=one_of(SCORED),
    params:
        options=lambda wildcards: packed_options(wildcards.testset),


rule compare_data:
    input:
        script=script_path("compare_data.py"),
        summary=f"{LABELLED}/summary.json",
        cutouts=ancient(f"{LABELLED}/cutouts.npy"),
        index=ancient(f"{LABELLED}/index.parquet"),
        split=f"{SPLITS}/objects.json",
        objects=ancient(f"{SPLITS}/objects.parquet"),
        blind_summary=lambda wildcards: [f"{part}/summary.json" for part in packed_folders(wildcards.testset)],
        blind_cutouts=lambda wildcards: ancient(
            [f"{part}/cutouts.npy" for part in packed_folders(wildcards.testset)]
        ),
        blind_index=lambda wildcards: ancient(
            [f"{part}/index.parquet" for part in packed_folders(wildcards.testset)]
        ),
        validation="results/ensemble/{ensemble}/val/val_ens.json",
        val_ensemble=ancient("results/ensemble/{ensemble}/val/val_ens.csv"),
        description="results/ensemble/{ensemble}/{testset}/test_ens.json",
        ensemble=lambda wildcards: ancient(table_of(wildcards.ensemble, wildcards.testset)),
    output:
        json="results/drift/{ensemble}/{testset}/drift.json",
        values="results/drift/{ensemble}/{testset}/drift_values.parquet",
    log:
        "logs/compare_data/{ensemble}/{testset}.log",
    benchmark:
        "results/benchmarks/compare_data/{ensemble}/{testset}.tsv"
    wildcard_constraints:
        testset=one_of(CONFIG.testsets),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
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
        raise WorkflowError(
            f"{CONFIG_FILES[0]}: transfer: expected domains to learn from and others to be scored on, found none; "
            f"for example transfer: {{train_on: [{CONFIG.domains[0]}], test_on: [{CONFIG.domains[-1]}]}}"
        )
    return f"results/transfer/{CONFIG.submission.ensemble}/{side(transfer.train_on)}_to_{side(transfer.test_on)}.json"


rule measure_transfer:
    input:
        script=script_path("measure_transfer.py"),
        description="results/ensemble/{ensemble}_on_{source}/heldout/test_ens.json",
        ensemble=ancient("results/ensemble/{ensemble}_on_{source}/heldout/test_ens_labeled.csv"),
        threshold="results/ensemble/{ensemble}_on_{source}/val/threshold.txt",
        reference_description="results/ensemble/{ensemble}/heldout/test_ens.json",
        reference=ancient("results/ensemble/{ensemble}/heldout/test_ens_labeled.csv"),
        reference_threshold="results/ensemble/{ensemble}/val/threshold.txt",
    output:
        json="results/transfer/{ensemble}/{source}_to_{target}.json",
    log:
        "logs/measure_transfer/{ensemble}/{source}_to_{target}.log",
    benchmark:
        "results/benchmarks/measure_transfer/{ensemble}/{source}_to_{target}.tsv"
    wildcard_constraints:
        ensemble=one_of(TRANSFERABLE),
        source=one_of(SIDES),
        target=one_of(SIDES),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("measure_transfer.py"),
        options=lambda wildcards: " ".join(
            f"--{option} {domain}" for option in ("source", "target") for domain in SIDES[wildcards[option]]
        ),
    shell:
        "python {input.script:q} --csv {input.ensemble:q} --threshold-file {input.threshold:q} {params.options}"
        " --reference-csv {input.reference:q} --reference-threshold-file {input.reference_threshold:q}"
        " --out {output.json:q} --log {log:q}"
