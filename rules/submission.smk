"""What is handed in, from the ensemble that the config names, and the same from every ensemble, to compare."""

SUBMITTED_SET = CONFIG.submission.testset


def submitted(wildcards):
    """The ensemble that a submission comes from: the one that its path names, else the one of the config."""
    return wildcards.get("ensemble", CONFIG.submission.ensemble)


def submitted_predictions(wildcards):
    """What describes the predictions that its answers come from."""
    return [
        f"{folder}/part_{part}/pred_test.json"
        for folder in predictions_of(submitted(wildcards), SUBMITTED_SET)
        for part in range(n_parts(SUBMITTED_SET))
    ]


def submission_options(wildcards):
    """The options of `submission.py` that come from the config."""
    ensemble = submitted(wildcards)
    settings = CONFIG.submission.model_dump(mode="json") | {"ensemble": ensemble}
    if not CONFIG.estimated(ensemble):  # another than the submitted one, whose columns stay empty
        settings.pop("lens_parameters", None)
    return " ".join(
        [
            f"{settings_option(settings)} {packed_options(SUBMITTED_SET)}",
            *simulated_option(),
            settings_option(CONFIG.threshold, "threshold"),
            repeated("members", member_folders(ensemble)),
            repeated("val-predictions", predictions_of(ensemble, "val")),
            repeated("test-predictions", predictions_of(ensemble, SUBMITTED_SET)),
        ]
    )


rule submission:
    input:
        script=script_path("submission.py"),
        description=lambda wildcards: description_of(submitted(wildcards), SUBMITTED_SET),
        ensemble=lambda wildcards: ancient(table_of(submitted(wildcards), SUBMITTED_SET)),
        summary=[f"{part}/summary.json" for part in packed_folders(SUBMITTED_SET)],
        index=ancient([f"{part}/index.parquet" for part in packed_folders(SUBMITTED_SET)]),
        rejected=ancient([f"{part}/rejected.csv" for part in packed_folders(SUBMITTED_SET)]),
        labelled=f"{LABELLED}/summary.json",
        split=f"{SPLITS}/objects.json",
        members=lambda wildcards: [f"{folder}/best.json" for folder in member_folders(submitted(wildcards))],
        val_predictions=lambda wildcards: [
            f"{folder}/pred_val.json" for folder in predictions_of(submitted(wildcards), "val")
        ],
        test_predictions=submitted_predictions,
        validation=lambda wildcards: description_of(submitted(wildcards), "val"),
        threshold=lambda wildcards: f"{ENSEMBLE}/val/threshold.txt".format(ensemble=submitted(wildcards)),
    output:
        submission="submission.csv",
        provenance="submission.json",
    log:
        "logs/submission.log",
    benchmark:
        f"{BENCHMARKS}/submission.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("submission.py"),
        options=submission_options,
    shell:
        "python {input.script:q} --ensemble-csv {input.ensemble:q} {params.options}"
        ' --labelled "$(dirname {input.labelled:q})" --splits "$(dirname {input.split:q})"'
        ' --validation "$(dirname {input.validation:q})"'
        " --out {output.submission:q} --provenance {output.provenance:q} --log {log:q}"


use rule submission as submission_of_ensemble with:
    output:
        submission="results/submissions/{ensemble}.csv",
        provenance="results/submissions/{ensemble}.json",
    log:
        "logs/submission/{ensemble}.log",
    benchmark:
        f"{BENCHMARKS}/submission_of_ensemble/{{ensemble}}.tsv"


# On demand: `snakemake ro-crate-metadata.json`.
rule describe_crate:
    input:
        script=script_path("describe_crate.py"),
        record=rules.submission.output.provenance,
        submission=ancient("submission.csv"),
    output:
        crate="ro-crate-metadata.json",
    log:
        "logs/describe_crate.log",
    benchmark:
        f"{BENCHMARKS}/describe_crate.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **LIGHT,
    params:
        *code_of("describe_crate.py"),
        options=f"--licence {shlex.quote(CONFIG.capsule.licence)}" if CONFIG.capsule.licence else "",
    shell:
        "python {input.script:q} --record {input.record:q} {params.options} --out {output.crate:q} --log {log:q}"
