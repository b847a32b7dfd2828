"""The figures, as PNG and PDF. Numbers are computed by other rules: whoever changes how a figure looks draws it
again, and computes nothing."""


rule plot_data:
    input:
        script=script_path("plot_data.py"),
        sheet="results/inspection/labelled/contact_sheet.json",
        sheet_cutouts=ancient("results/inspection/labelled/contact_sheet.npy"),
        histograms="results/inspection/labelled/histograms.json",
    output:
        **figure(
            "cutouts",
            "results/inspection/labelled/cutouts.png",
            "2 Data",
            {"figure": "Contact sheet of each bucket"},
            subcategory=None,
        ),
        **figure(
            "histograms",
            "results/inspection/labelled/histograms.png",
            "2 Data",
            {"figure": "Pixel values"},
            subcategory=None,
        ),
    log:
        "logs/plot_data.log",
    benchmark:
        "results/benchmarks/plot_data.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("plot_data.py"),
    shell:
        'python {input.script:q} --inspection "$(dirname {input.sheet:q})" --out-dir "$(dirname {output.cutouts:q})"'
        " --log {log:q}"


rule plot_training:
    input:
        script=script_path("plot_training.py"),
        logs=lambda wildcards: ancient(
            [f"{folder}/training_log.csv" for folder in trained_members(wildcards)]
        ),
        results=lambda wildcards: [f"{folder}/results.json" for folder in trained_members(wildcards)],
    output:
        **figure(
            "training",
            "results/report/{ensemble}/training.png",
            "3 Training",
            {"figure": "Learning curves of all members"},
        ),
    log:
        "logs/plot_training/{ensemble}.log",
    benchmark:
        "results/benchmarks/plot_training/{ensemble}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("plot_training.py"),
        options=lambda wildcards: repeated("members", trained_members(wildcards)),
    shell:
        "python {input.script:q} {params.options} --out {output.training:q} --log {log:q}"


def scored_title(wildcards):
    """The ensemble, and which objects it was scored on, as titles of figures name them."""
    testset = wildcards.get("testset")
    objects = {None: "validation", "heldout": "held-out"}.get(testset, f"test set {testset}")
    return f"Ensemble {wildcards.ensemble}, {objects} objects"


rule plot_evaluation_val:
    input:
        script=script_path("plot_evaluation.py"),
        description="results/ensemble/{ensemble}/val/val_ens.json",
        ensemble=ancient("results/ensemble/{ensemble}/val/val_ens.csv"),
        threshold="results/ensemble/{ensemble}/val/threshold.txt",
        completeness_table="results/evaluation/{ensemble}/val/completeness.csv",
    output:
        **score_figures("val"),
    log:
        "logs/plot_evaluation_val/{ensemble}.log",
    benchmark:
        "results/benchmarks/plot_evaluation_val/{ensemble}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("plot_evaluation.py"),
        prevalences=as_parameter(CONFIG.evaluation.prevalences),
        title=scored_title,
        band=CONFIG.evaluation.magnitude_band,
    shell:
        "python {input.script:q} --csv {input.ensemble:q} --threshold-file {input.threshold:q}"
        " --completeness {input.completeness_table:q} --prevalences {params.prevalences:q}"
        " --title {params.title:q} --band {params.band:q}"
        ' --out-dir "$(dirname {output.roc:q})" --log {log:q}'


# Through the table of completeness, nothing is drawn of a set that `evaluate_test` has refused to score.
use rule plot_evaluation_val as plot_evaluation_test with:
    input:
        script=script_path("plot_evaluation.py"),
        description="results/ensemble/{ensemble}/{testset}/test_ens.json",
        ensemble=ancient("results/ensemble/{ensemble}/{testset}/test_ens_labeled.csv"),
        threshold="results/ensemble/{ensemble}/val/threshold.txt",
        completeness_table="results/evaluation/{ensemble}/{testset}/completeness.csv",
    output:
        **score_figures("{testset}"),
    log:
        "logs/plot_evaluation_test/{ensemble}/{testset}.log",
    benchmark:
        "results/benchmarks/plot_evaluation_test/{ensemble}/{testset}.tsv"
    wildcard_constraints:
        testset=one_of(SCORED),


rule plot_lens_val:
    input:
        script=script_path("plot_lens_parameters.py"),
        description="results/ensemble/{ensemble}/val/val_ens.json",
        ensemble=ancient("results/ensemble/{ensemble}/val/val_ens.csv"),
        summary=f"{LABELLED}/summary.json",
        parameters=ancient(f"{LABELLED}/parameters.parquet"),
        errors="results/evaluation/{ensemble}/val/lens_parameters.json",
    output:
        **lens_figure("val"),
    log:
        "logs/plot_lens_val/{ensemble}.log",
    benchmark:
        "results/benchmarks/plot_lens_val/{ensemble}.tsv"
    wildcard_constraints:
        ensemble=one_of(ESTIMATING),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("plot_lens_parameters.py"),
        options=packed_options(HELDOUT),
    shell:
        "python {input.script:q} --csv {input.ensemble:q} --errors {input.errors:q} {params.options}"
        " --out {output.lens_parameters:q} --log {log:q}"


use rule plot_lens_val as plot_lens_test with:
    input:
        script=script_path("plot_lens_parameters.py"),
        description="results/ensemble/{ensemble}/{testset}/test_ens.json",
        ensemble=ancient("results/ensemble/{ensemble}/{testset}/test_ens_labeled.csv"),
        summary=lambda wildcards: [f"{folder}/summary.json" for folder in packed_folders(wildcards.testset)],
        parameters=lambda wildcards: ancient(
            [f"{folder}/parameters.parquet" for folder in packed_folders(wildcards.testset)]
        ),
        errors="results/evaluation/{ensemble}/{testset}/lens_parameters.json",
    output:
        **lens_figure("{testset}"),
    log:
        "logs/plot_lens_test/{ensemble}/{testset}.log",
    benchmark:
        "results/benchmarks/plot_lens_test/{ensemble}/{testset}.tsv"
    wildcard_constraints:
        ensemble=one_of(ESTIMATING),
        testset=one_of(SCORED),
    params:
        options=lambda wildcards: packed_options(wildcards.testset),


rule plot_drift:
    input:
        script=script_path("plot_drift.py"),
        drift="results/drift/{ensemble}/{testset}/drift.json",
        values=ancient("results/drift/{ensemble}/{testset}/drift_values.parquet"),
    output:
        **figure(
            "drift",
            "results/drift/{ensemble}/{testset}/drift.png",
            "5 Drift",
            {"figure": "Blind set against training set", "objects": "{testset}"},
        ),
    log:
        "logs/plot_drift/{ensemble}/{testset}.log",
    benchmark:
        "results/benchmarks/plot_drift/{ensemble}/{testset}.tsv"
    wildcard_constraints:
        testset=one_of(CONFIG.testsets),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("plot_drift.py"),
        title="Test set {testset}",
    shell:
        "python {input.script:q} --drift {input.drift:q} --title {params.title:q} --out {output.drift:q} --log {log:q}"


# Benchmarks are no inputs: one that is missing would have its member trained again, only to measure that.
rule plot_run_times:
    input:
        script=script_path("plot_run_times.py"),
        after=[
            description_of(ensemble, testset)
            for ensemble in ENSEMBLES
            for testset in [HELDOUT, *CONFIG.testsets]
        ],
        # To be measured first; that they were made anew is no reason to draw this anew.
        others=ancient(
            [
                "submission.csv",
                "results/candidates/index.html",
                "results/report/data.html",
                *expand("results/submissions/{ensemble}.csv", ensemble=ENSEMBLES),
                "results/inspection/labelled/cutouts.png",
                *expand("results/drift/{ensemble}/{testset}/drift.png", ensemble=ENSEMBLES, testset=BLIND),
                *expand("results/report/{ensemble}/overview.html", ensemble=ENSEMBLES),
                *expand("results/report/{ensemble}/training.png", ensemble=ENSEMBLES),
                *expand(
                    "results/evaluation/{ensemble}/{which}/roc.png",
                    ensemble=ENSEMBLES,
                    which=["val", *SCORED],
                ),
                *expand(
                    "results/evaluation/{ensemble}/{which}/lens_parameters.png",
                    ensemble=ESTIMATING,
                    which=["val", *SCORED],
                ),
            ]
        ),
    output:
        **figure(
            "run_times",
            "results/report/run_times.png",
            "6 Run",
            {"figure": "Run times and memory"},
            subcategory=None,
        ),
        table="results/report/run_times.csv",
    log:
        "logs/plot_run_times.log",
    benchmark:
        "results/benchmarks/plot_run_times.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("plot_run_times.py"),
        options=lambda wildcards: (
            f"{repeated('benchmarks', [BENCHMARKS])} --jobs {shlex.quote(jobs_of_the_run(wildcards))}"
        ),
    shell:
        "python {input.script:q} {params.options} --out {output.run_times:q} --log {log:q}"
