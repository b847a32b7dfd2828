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
        mem_mb=lambda wildcards, attempt: 8_000 * attempt,
        runtime=120,
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
