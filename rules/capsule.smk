"""An ensemble in one file, for those who want its probabilities without this workflow. On demand: `snakemake
results/capsules/NAME.capsule`."""


def drift_files(wildcards):
    """How the test sets that the config names for it differ from the training data, by name."""
    return {
        testset: f"{DRIFT.format(ensemble=wildcards.ensemble, testset=testset)}/drift.json"
        for testset in CONFIG.capsule.drift
    }


def common_teacher(ensemble):
    """The ensemble whose probabilities all members of an ensemble have learnt, as a list; empty if there is none."""
    taught = {CONFIG.member_settings(*member).distil_from for member in CONFIG.members(ensemble)}
    return [] if len(taught) > 1 or None in taught else [*taught]


def compared_with(ensemble):
    """An ensemble and its teacher, whose answers for the held-out objects are compared; none without a teacher."""
    teachers = common_teacher(ensemble)
    return [ensemble, *teachers] if teachers else []


def teacher_options(ensemble):
    teachers = {name: table_of(name, HELDOUT) for name in common_teacher(ensemble)}
    own = [table_of(ensemble, HELDOUT)] if teachers else []
    return [repeated("heldout-table", own), named("teacher", teachers)]


def capsule_options(wildcards):
    """The options of `capsule.py` that come from the config."""
    options = [
        f"--settings {shlex.quote(as_parameter(CONFIG.capsule))}",
        repeated("members", member_folders(wildcards.ensemble)),
        named("drift", drift_files(wildcards)),
        *teacher_options(wildcards.ensemble),
    ]
    return " ".join(options + (["--simulated"] if CONFIG.simulate else []))


rule capsule:
    input:
        script=script_path("capsule.py"),
        members=member_files("best.json"),
        weights=lambda wildcards: ancient(member_files("best.pt")(wildcards)),
        validation=f"{ENSEMBLE}/val/val_ens.json",
        threshold=f"{ENSEMBLE}/val/threshold.txt",
        metrics=f"{ENSEMBLE}/val/metrics_val_ens.json",
        heldout=f"{ENSEMBLE}/{HELDOUT}/metrics_test_ens.json",
        completeness=f"{EVALUATION}/{HELDOUT}/completeness.csv",
        summary=f"{LABELLED}/summary.json",
        drift=lambda wildcards: list(drift_files(wildcards).values()),
        compared=lambda wildcards: [
            description_of(name, HELDOUT) for name in compared_with(wildcards.ensemble)
        ],
        compared_tables=lambda wildcards: ancient(
            [table_of(name, HELDOUT) for name in compared_with(wildcards.ensemble)]
        ),
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
