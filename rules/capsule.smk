"""An ensemble in one file, for those who want its probabilities without this workflow. On demand: `snakemake
results/capsules/NAME.capsule`."""


def drift_files(wildcards):
    """How the test sets that the config names for it differ from the training data, by name."""
    return {
        testset: f"results/drift/{wildcards.ensemble}/{testset}/drift.json"
        for testset in CONFIG.capsule.drift
    }


rule capsule:
    input:
        script=script_path("capsule.py"),
        members=lambda wildcards: [f"{folder}/best.json" for folder in member_folders(wildcards.ensemble)],
        weights=lambda wildcards: ancient(
            [f"{folder}/best.pt" for folder in member_folders(wildcards.ensemble)]
        ),
        validation="results/ensemble/{ensemble}/val/val_ens.json",
        threshold="results/ensemble/{ensemble}/val/threshold.txt",
        metrics="results/ensemble/{ensemble}/val/metrics_val_ens.json",
        heldout=f"results/ensemble/{{ensemble}}/{HELDOUT}/metrics_test_ens.json",
        completeness=f"results/evaluation/{{ensemble}}/{HELDOUT}/completeness.csv",
        summary=f"{LABELLED}/summary.json",
        drift=lambda wildcards: list(drift_files(wildcards).values()),
    output:
        capsule="results/capsules/{ensemble}.capsule",
    log:
        "logs/capsule/{ensemble}.log",
    benchmark:
        "results/benchmarks/capsule/{ensemble}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("capsule.py"),
        options=lambda wildcards: " ".join(
            [
                f"--settings {shlex.quote(as_parameter(CONFIG.capsule))}",
                repeated("members", member_folders(wildcards.ensemble)),
                named("drift", drift_files(wildcards)),
                *(["--simulated"] if CONFIG.simulate else []),
            ]
        ),
    shell:
        "python {input.script:q} --ensemble {wildcards.ensemble:q} {params.options}"
        ' --validation "$(dirname {input.validation:q})" --labelled "$(dirname {input.summary:q})"'
        " --heldout-metrics {input.heldout:q} --completeness {input.completeness:q}"
        " --out {output.capsule:q} --log {log:q}"
