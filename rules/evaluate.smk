PLOTS = ["roc", "precision_recall", "reliability", "confusion_matrix", "score_histogram"]


rule evaluate_val:
    input:
        code=sources("evaluate.py"),
        description="results/ensemble/{ensemble}/val/val_ens.json",
        ensemble=ancient("results/ensemble/{ensemble}/val/val_ens.csv"),
        threshold="results/ensemble/{ensemble}/val/threshold.txt",
    output:
        json="results/evaluation/{ensemble}/val/metrics.json",
        table="results/evaluation/{ensemble}/val/metrics.csv",
        plots=expand("results/evaluation/{{ensemble}}/val/{plot}.png", plot=PLOTS),
    log:
        "logs/evaluate_val/{ensemble}.log",
    conda:
        "../envs/stronglens.yaml"
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        options="",
    shell:
        "python {input.code[0]:q} --csv {input.ensemble:q} --threshold-file {input.threshold:q} {params.options}"
        ' --out-dir "$(dirname {output.table:q})" --metrics-json {output.json:q} --log {log:q}'


# The honest score: t* comes from the validation split, the objects from a set that no one has looked at.
use rule evaluate_val as evaluate_test with:
    input:
        code=sources("evaluate.py"),
        description="results/ensemble/{ensemble}/{testset}/test_ens.json",
        ensemble=ancient("results/ensemble/{ensemble}/{testset}/test_ens_labeled.csv"),
        threshold="results/ensemble/{ensemble}/val/threshold.txt",
        validation="results/ensemble/{ensemble}/val/metrics_val_ens.json",
    output:
        json="results/ensemble/{ensemble}/{testset}/metrics_test_ens.json",
        table="results/evaluation/{ensemble}/{testset}/metrics.csv",
        plots=expand("results/evaluation/{{ensemble}}/{{testset}}/{plot}.png", plot=PLOTS),
    log:
        "logs/evaluate_test/{ensemble}/{testset}.log",
    wildcard_constraints:
        testset=one_of(SCORED),
    params:
        options="--validation-metrics results/ensemble/{ensemble}/val/metrics_val_ens.json",


rule compare_data:
    input:
        code=sources("compare_data.py"),
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
        ensemble=ancient("results/ensemble/{ensemble}/{testset}/test_ens.csv"),
    output:
        json="results/drift/{ensemble}/{testset}/drift.json",
        plot="results/drift/{ensemble}/{testset}/drift.png",
    log:
        "logs/compare_data/{ensemble}/{testset}.log",
    wildcard_constraints:
        testset=one_of(BLIND),
    conda:
        "../envs/stronglens.yaml"
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        options=lambda wildcards: packed_options(wildcards.testset),
    shell:
        'python {input.code[0]:q} --labelled "$(dirname {input.summary:q})" --splits "$(dirname {input.split:q})"'
        " {params.options} --val-csv {input.val_ensemble:q} --test-csv {input.ensemble:q}"
        ' --out-dir "$(dirname {output.json:q})" --log {log:q}'
