"""The figures, as PNG and PDF. Numbers are computed by other rules: whoever changes how a figure looks draws it
again, and computes nothing."""

from itertools import product


def figure(name, path, category, title, subcategory="{ensemble}", **labels):
    """A figure among the outputs of a rule: PNG, which the report shows with the caption `{name}.rst`, and PDF."""
    shown = report(
        path,
        caption=str(CLONE / "workflow" / "report" / f"{name}.rst"),
        category=category,
        subcategory=subcategory,
        labels={"figure": title, **labels},
    )
    return {name: shown, f"{name}_pdf": path.removesuffix(".png") + ".pdf"}


def score_figure(name, title):
    return figure(name, f"{EVALUATION}/{{which}}/{name}.png", "4 Scores", title, objects="{which}")


rule plot_data:
    input:
        script=script_path("plot_data.py"),
        sheet=rules.inspect_data.output.sheet,
        sheet_cutouts=ancient(f"{INSPECTION}/contact_sheet.npy"),
        histograms=rules.inspect_data.output.histograms,
    output:
        **figure("cutouts", f"{INSPECTION}/cutouts.png", "2 Data", "Contact sheet of each bucket", None),
        **figure("histograms", f"{INSPECTION}/histograms.png", "2 Data", "Pixel values", None),
    log:
        "logs/plot_data.log",
    benchmark:
        f"{BENCHMARKS}/plot_data.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("plot_data.py"),
    shell:
        'python {input.script:q} --inspection "$(dirname {input.sheet:q})" --out-dir "$(dirname {output.cutouts:q})"'
        " --log {log:q}"


def trained_members(wildcards):
    """The folders of an ensemble's members that are trained here."""
    members = CONFIG.members(wildcards.ensemble)
    return [member_folder(model, seed) for model, seed in members if model in TRAINED]


rule plot_training:
    input:
        script=script_path("plot_training.py"),
        logs=lambda wildcards: ancient(
            [f"{folder}/training_log.csv" for folder in trained_members(wildcards)]
        ),
        results=lambda wildcards: [f"{folder}/results.json" for folder in trained_members(wildcards)],
    output:
        **figure("training", f"{REPORT}/training.png", "3 Training", "Learning curves of all members"),
    log:
        "logs/plot_training/{ensemble}.log",
    benchmark:
        f"{BENCHMARKS}/plot_training/{{ensemble}}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("plot_training.py"),
        options=lambda wildcards: repeated("members", trained_members(wildcards)),
    shell:
        "python {input.script:q} {params.options} --ensemble {wildcards.ensemble} --out {output.training:q} --log {log:q}"


OBJECTS = {"val": "validation", HELDOUT: "held-out"}


def scored_title(wildcards):
    """The ensemble, and which objects it was scored on, as titles of figures name them."""
    objects = OBJECTS.get(wildcards.which, f"test set {wildcards.which}")
    return f"Ensemble {wildcards.ensemble}, {objects} objects"


# Through the table of completeness, nothing is drawn of a set that `evaluate_test` has refused to score.
rule plot_evaluation:
    input:
        script=script_path("plot_evaluation.py"),
        description=described,
        ensemble=scored,
        threshold=rules.threshold.output.threshold,
        completeness_table=f"{EVALUATION}/{{which}}/completeness.csv",
    output:
        **score_figure("roc", "ROC curve"),
        **score_figure("precision_recall", "Precision and recall"),
        **score_figure("reliability", "Reliability"),
        **score_figure("confusion_matrix", "Confusion matrices"),
        **score_figure("score_histogram", "Probabilities by class"),
        **score_figure("completeness", "Completeness by Einstein radius and magnitudes"),
    log:
        "logs/plot_evaluation/{ensemble}/{which}.log",
    benchmark:
        f"{BENCHMARKS}/plot_evaluation/{{ensemble}}/{{which}}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
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


rule plot_lens:
    input:
        script=script_path("plot_lens_parameters.py"),
        description=described,
        ensemble=scored,
        summary=packed_files("summary.json"),
        parameters=large_packed_files("parameters.parquet"),
        errors=rules.evaluate_lens.output.json,
    output:
        **score_figure("lens_parameters", "Estimated lens parameters"),
    log:
        "logs/plot_lens/{ensemble}/{which}.log",
    benchmark:
        f"{BENCHMARKS}/plot_lens/{{ensemble}}/{{which}}.tsv"
    wildcard_constraints:
        ensemble=one_of(ESTIMATING),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("plot_lens_parameters.py"),
        options=scored_objects,
        title=scored_title,
    shell:
        "python {input.script:q} --csv {input.ensemble:q} --errors {input.errors:q} {params.options}"
        " --title {params.title:q} --out {output.lens_parameters:q} --log {log:q}"


rule plot_drift:
    input:
        script=script_path("plot_drift.py"),
        drift=rules.compare_data.output.json,
        values=ancient(f"{DRIFT}/drift_values.parquet"),
    output:
        **figure(
            "drift", f"{DRIFT}/drift.png", "5 Drift", "Blind set against training set", objects="{testset}"
        ),
    log:
        "logs/plot_drift/{ensemble}/{testset}.log",
    benchmark:
        f"{BENCHMARKS}/plot_drift/{{ensemble}}/{{testset}}.tsv"
    wildcard_constraints:
        testset=one_of(CONFIG.testsets),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("plot_drift.py"),
        title="Ensemble {ensemble}, test set {testset}",
    shell:
        "python {input.script:q} --drift {input.drift:q} --title {params.title:q} --out {output.drift:q} --log {log:q}"


def run_times_options(wildcards):
    """The options of `plot_run_times.py`: what the benchmarks of this config's jobs are named after; the folder may
    hold those of others."""
    # The figure cannot tell of its own job, and a workflow that uses this one as a module has jobs of its own.
    folder, own = f"{at(BENCHMARKS)}/", at(f"{BENCHMARKS}/plot_run_times.tsv")
    others = sorted(path for path in benchmark_paths() - {own} if path.startswith(folder))
    jobs = {
        "patterns": [path.removeprefix(folder) for path in others],
        "members": {name: model.member_seeds for name, model in CONFIG.models.items()},
        "ensembles": sorted(CONFIG.ensembles),
        "parts": {name: n_parts(name) for name in [HELDOUT, *CONFIG.testsets]},
    }
    return f"{repeated('benchmarks', [BENCHMARKS])} {settings_option(jobs, 'jobs')}"


# Benchmarks are no inputs: one that is missing would have its member trained again, only to measure that.
rule plot_run_times:
    input:
        script=script_path("plot_run_times.py"),
        after=[description_of(*each) for each in product(ENSEMBLES, [HELDOUT, *CONFIG.testsets])],
        # To be measured first; that they were made anew is no reason to draw this anew.
        others=ancient(TARGETS),
    output:
        **figure("run_times", "results/report/run_times.png", "6 Run", "Run times and memory", None),
        table="results/report/run_times.csv",
    log:
        "logs/plot_run_times.log",
    benchmark:
        f"{BENCHMARKS}/plot_run_times.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("plot_run_times.py"),
        options=run_times_options,
    shell:
        "python {input.script:q} {params.options} --out {output.run_times:q} --log {log:q}"
