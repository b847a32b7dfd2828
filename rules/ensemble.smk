rule ensemble_val:
    input:
        script=script_path("ensemble.py"),
        descriptions=lambda wildcards: [f"{folder}/pred_val.json" for folder in member_predictions(wildcards)],
        predictions=lambda wildcards: ancient(
            [f"{folder}/pred_val.csv" for folder in member_predictions(wildcards)]
        ),
        summary=f"{LABELLED}/summary.json",
        index=ancient(f"{LABELLED}/index.parquet"),
    output:
        ensemble="results/ensemble/{ensemble}/val/val_ens.csv",
        description="results/ensemble/{ensemble}/val/val_ens.json",
    log:
        "logs/ensemble_val/{ensemble}.log",
    benchmark:
        "results/benchmarks/ensemble_val/{ensemble}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("ensemble.py"),
        options=ensemble_options,
    shell:
        'python {input.script:q} {params.options} --packed "$(dirname {input.summary:q})" --which val'
        ' --out-dir "$(dirname {output.description:q})" --log {log:q}'


rule threshold:
    input:
        script=script_path("threshold.py"),
        description="results/ensemble/{ensemble}/val/val_ens.json",
        ensemble=ancient("results/ensemble/{ensemble}/val/val_ens.csv"),
        descriptions=lambda wildcards: [f"{folder}/pred_val.json" for folder in member_predictions(wildcards)],
        predictions=lambda wildcards: ancient(
            [f"{folder}/pred_val.csv" for folder in member_predictions(wildcards)]
        ),
    output:
        threshold="results/ensemble/{ensemble}/val/threshold.txt",
        metrics="results/ensemble/{ensemble}/val/metrics_val_ens.json",
    log:
        "logs/threshold/{ensemble}.log",
    benchmark:
        "results/benchmarks/threshold/{ensemble}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("threshold.py"),
        options=lambda wildcards: (
            f"--settings {shlex.quote(as_parameter(CONFIG.threshold))}"
            f" {repeated('predictions', member_predictions(wildcards))}"
        ),
    shell:
        "python {input.script:q} --ensemble-csv {input.ensemble:q} {params.options}"
        ' --out-dir "$(dirname {output.threshold:q})" --log {log:q}'


rule ensemble_test:
    input:
        script=script_path("ensemble.py"),
        descriptions=test_prediction_files("json"),
        predictions=lambda wildcards: ancient(test_prediction_files("csv")(wildcards)),
        summary=lambda wildcards: [f"{folder}/summary.json" for folder in packed_folders(wildcards.testset)],
        index=lambda wildcards: ancient(
            [f"{folder}/index.parquet" for folder in packed_folders(wildcards.testset)]
        ),
        threshold="results/ensemble/{ensemble}/val/threshold.txt",
        validation="results/ensemble/{ensemble}/val/val_ens.json",
    output:
        ensemble="results/ensemble/{ensemble}/{testset}/test_ens.csv",
        description="results/ensemble/{ensemble}/{testset}/test_ens.json",
    log:
        "logs/ensemble_test/{ensemble}/{testset}.log",
    benchmark:
        "results/benchmarks/ensemble_test/{ensemble}/{testset}.tsv"
    wildcard_constraints:
        testset=one_of(BLIND),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("ensemble.py"),
        options=ensemble_test_options,
    shell:
        "python {input.script:q} {params.options} --which test --threshold {input.threshold:q}"
        " --validation {input.validation:q}"
        ' --out-dir "$(dirname {output.description:q})" --log {log:q}'


use rule ensemble_test as ensemble_test_labelled with:
    output:
        ensemble="results/ensemble/{ensemble}/{testset}/test_ens_labeled.csv",
        description="results/ensemble/{ensemble}/{testset}/test_ens.json",
    wildcard_constraints:
        testset=one_of(SCORED),
    params:
        options=lambda wildcards: f"--labelled {ensemble_test_options(wildcards)}",
