"""An ensemble in one file, for those who want its probabilities without this workflow. On demand: `snakemake
results/capsules/NAME.capsule`."""


def drift_files(wildcards):
    """How the test sets that the config names for it differ from the training data, by name."""
    return {
        testset: f"{DRIFT.format(ensemble=wildcards.ensemble, testset=testset)}/drift.json"
        for testset in CONFIG.capsule.drift
    }


def capsule_members(file):
    """An input function: a file of each member."""
    return lambda wildcards: [f"{folder}/{file}" for folder in member_folders(wildcards.ensemble)]


def capsule_options(wildcards):
    """The options of `capsule.py` that come from the config."""
    options = [
        f"--settings {shlex.quote(as_parameter(CONFIG.capsule))}",
        repeated("members", member_folders(wildcards.ensemble)),
        named("drift", drift_files(wildcards)),
    ]
    return " ".join(options + (["--simulated"] if CONFIG.simulate else []))


rule capsule:
    input:
        script=script_path("capsule.py"),
        members=capsule_members("best.json"),
        weights=lambda wildcards: ancient(capsule_members("best.pt")(wildcards)),
        validation=f"{ENSEMBLE}/val/val_ens.json",
        threshold=f"{ENSEMBLE}/val/threshold.txt",
        metrics=f"{ENSEMBLE}/val/metrics_val_ens.json",
        heldout=f"{ENSEMBLE}/{HELDOUT}/metrics_test_ens.json",
        completeness=f"{EVALUATION}/{HELDOUT}/completeness.csv",
        summary=f"{LABELLED}/summary.json",
        drift=lambda wildcards: list(drift_files(wildcards).values()),
    output:
        capsule="results/capsules/{ensemble}.capsule",
    log:
        "logs/capsule/{ensemble}.log",
    benchmark:
        f"{BENCHMARKS}/capsule/{{ensemble}}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("capsule.py"),
        options=capsule_options,
    shell:
        "python {input.script:q} --ensemble {wildcards.ensemble:q} {params.options}"
        ' --validation "$(dirname {input.validation:q})" --labelled "$(dirname {input.summary:q})"'
        " --heldout-metrics {input.heldout:q} --completeness {input.completeness:q}"
        " --out {output.capsule:q} --log {log:q}"
