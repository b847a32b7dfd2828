"""What a person looks at after a run: the page of candidates, and the pages of the report.

`snakemake --report report.html` puts everything marked with `report(...)`, here and in other rules, into one file.
"""

from stronglens.reporting.ending import ending_lines

STATIC = sorted((SCRIPTS / "stronglens" / "candidates" / "static").iterdir())
"""Files of the page of candidates that are the same for every run."""
CANDIDATES = CONFIG.submission.ensemble, SUBMITTED_SET
"""The page of candidates is of what is submitted."""


def candidates_options():
    """The options of `candidates.py` that come from the config."""
    scale = CONFIG.capsule.pixel_scale_arcsec
    return " ".join(
        [
            f"--ensemble {CANDIDATES[0]} --testset {SUBMITTED_SET} {packed_options(SUBMITTED_SET)}",
            settings_option(CONFIG.candidates),
            known_option(*CANDIDATES),
            *([] if scale is None else [f"--pixel-scale-arcsec {scale}"]),
            *simulated_option(),
        ]
    )


rule candidates:
    input:
        script=script_path("candidates.py"),
        description=description_of(*CANDIDATES),
        ensemble=ancient(table_of(*CANDIDATES)),
        heldout_description=description_of(CANDIDATES[0], HELDOUT),
        heldout_ensemble=ancient(table_of(CANDIDATES[0], HELDOUT)),
        summary=[f"{folder}/summary.json" for folder in packed_folders(SUBMITTED_SET)],
        cutouts=ancient([f"{folder}/cutouts.npy" for folder in packed_folders(SUBMITTED_SET)]),
        index=ancient([f"{folder}/index.parquet" for folder in packed_folders(SUBMITTED_SET)]),
        labelled=f"{LABELLED}/summary.json",
        labelled_cutouts=ancient(f"{LABELLED}/cutouts.npy"),
        labelled_index=ancient(f"{LABELLED}/index.parquet"),
        known=known_files(*CANDIDATES, "json"),
        known_table=ancient(known_files(*CANDIDATES)),
    output:
        page="results/candidates/index.html",
        static=[f"results/candidates/{path.name}" for path in STATIC if path.name != "index.html"],
        data="results/candidates/data.js",
        images=directory("results/candidates/images"),
    log:
        "logs/candidates.log",
    benchmark:
        f"{BENCHMARKS}/candidates.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("candidates.py"),
        options=candidates_options(),
    shell:
        "python {input.script:q} --ensemble-csv {input.ensemble:q} --heldout-csv {input.heldout_ensemble:q}"
        ' --labelled "$(dirname {input.labelled:q})" {params.options}'
        ' --out-dir "$(dirname {output.page:q})" --log {log:q}'


TEST_PARTS = {
    f"{name} part {part}" if n_parts(name) > 1 else name: folder
    for name in CONFIG.testsets
    for part, folder in enumerate(packed_folders(name))
}
"""The folder of each part of each test set, by what the page of the data calls it."""


rule describe_data:
    input:
        script=script_path("describe_data.py"),
        summary=f"{LABELLED}/summary.json",
        inspection=rules.inspect_data.output.summary,
        split=f"{SPLITS}/objects.json",
        tests=[f"{folder}/summary.json" for folder in TEST_PARTS.values()],
        rejected=ancient([f"{folder}/rejected.csv" for folder in TEST_PARTS.values()]),
    output:
        page=report(
            "results/report/data.html",
            caption="../workflow/report/data.rst",
            category="2 Data",
            labels={"figure": "What was read, and what was not"},
        ),
    log:
        "logs/describe_data.log",
    benchmark:
        f"{BENCHMARKS}/describe_data.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("describe_data.py"),
        options=named("tests", {name: f"{folder}/summary.json" for name, folder in TEST_PARTS.items()}),
    shell:
        "python {input.script:q} --summary {input.summary:q} --inspection {input.inspection:q}"
        " --splits {input.split:q} {params.options} --out {output.page:q} --log {log:q}"


KNOWN_IN = [*CONFIG.testsets] if CONFIG.known_lenses else []
"""Test sets in which known lenses are looked for, for the report."""


def known_in_report(ensemble, ending="csv"):
    return [path for name in KNOWN_IN for path in known_files(ensemble, name, ending)]


CITATION = [path for path in [CLONE / "CITATION.cff"] if path.is_file()]


def overview_options(wildcards):
    """The options of `write_overview.py`: files by the name of what they are about."""
    ensemble = wildcards.ensemble

    def files(option, path, names):
        return named(option, {name: path.format(ensemble=ensemble, testset=name) for name in names})

    return " ".join(
        [
            files("scored", f"{ENSEMBLE}/{{testset}}/metrics_test_ens.json", SCORED),
            named("field", {"validation": f"{EVALUATION}/val/field_metrics.json".format(ensemble=ensemble)}),
            files("field", f"{EVALUATION}/{{testset}}/field_metrics.json", SCORED),
            named("blind", {name: table_of(ensemble, name) for name in BLIND}),
            files("drift", f"{DRIFT}/drift.json", BLIND),
            named("known-lenses", {name: path for name in KNOWN_IN for path in known_files(ensemble, name)}),
            repeated("members", member_folders(ensemble)),
            repeated("citation", [in_clone(path) for path in CITATION]),
            *simulated_option(),
        ]
    )


rule write_overview:
    input:
        script=script_path("write_overview.py"),
        citation=lambda wildcards: [in_clone(path) for path in CITATION],
        validation=rules.threshold.output.metrics,
        scored=expand(f"{ENSEMBLE}/{{testset}}/metrics_test_ens.json", testset=SCORED, allow_missing=True),
        field=expand(f"{EVALUATION}/{{which}}/field_metrics.json", which=["val", *SCORED], allow_missing=True),
        descriptions=expand(f"{ENSEMBLE}/{{testset}}/test_ens.json", testset=BLIND, allow_missing=True),
        blind=ancient(expand(f"{ENSEMBLE}/{{testset}}/test_ens.csv", testset=BLIND, allow_missing=True)),
        drift=expand(f"{DRIFT}/drift.json", testset=BLIND, allow_missing=True),
        known=lambda wildcards: known_in_report(wildcards.ensemble, "json"),
        known_tables=lambda wildcards: ancient(known_in_report(wildcards.ensemble)),
        members=member_files("best.json"),
        trainings=lambda wildcards: [f"{folder}/results.json" for folder in trained_members(wildcards)],
    output:
        page=report(
            f"{REPORT}/overview.html",
            caption="../workflow/report/overview.rst",
            category="1 Overview",
            labels={"ensemble": "{ensemble}"},
        ),
    log:
        "logs/write_overview/{ensemble}.log",
    benchmark:
        f"{BENCHMARKS}/write_overview/{{ensemble}}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("write_overview.py"),
        options=overview_options,
    shell:
        "python {input.script:q} --ensemble {wildcards.ensemble} --validation {input.validation:q}"
        " {params.options} --out {output.page:q} --log {log:q}"


SCORE_FIGURES = [name for name in rules.plot_evaluation.output.keys() if not name.endswith("_pdf")]


def index_options():
    """The options of `write_index.py`: all pages, and all figures by what they are about."""
    figures = {"Data": [f"{INSPECTION}/cutouts.png", f"{INSPECTION}/histograms.png"]}
    for ensemble in ENSEMBLES:
        name = f"Ensemble {ensemble}"
        scores, report = (path.format(ensemble=ensemble) for path in [EVALUATION, REPORT])
        figures[f"{name}: training"] = [f"{report}/training.png"]
        for which in [*SCORED, "val"]:
            stems = SCORE_FIGURES + ["lens_parameters"] * (ensemble in ESTIMATING)
            figures[f"{name}: {OBJECTS.get(which, which)} objects"] = [
                f"{scores}/{which}/{stem}.png" for stem in stems
            ]
        figures[f"{name}: test sets against the training set"] = expand(
            f"{DRIFT}/drift.png", ensemble=ensemble, testset=CONFIG.testsets
        )
    figures["Run"] = ["results/report/run_times.png"]
    figures = {title: [at(path) for path in paths] for title, paths in figures.items()}
    overviews = {name: f"{REPORT}/overview.html".format(ensemble=name) for name in sorted(ENSEMBLES)}
    return " ".join([named("overviews", overviews), settings_option(figures, "figures"), *simulated_option()])


# All but its own code and what it links to is of no concern to it.
rule write_index:
    input:
        script=script_path("write_index.py"),
        data=ancient(rules.describe_data.output.page),
        candidates=ancient(rules.candidates.output.page),
        others=ancient([*TARGETS, rules.plot_run_times.output.run_times]),
    output:
        page="results/report/index.html",
    log:
        "logs/write_index.log",
    benchmark:
        f"{BENCHMARKS}/write_index.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("write_index.py"),
        options=index_options(),
    shell:
        "python {input.script:q} --data {input.data:q} --candidates {input.candidates:q} {params.options}"
        " --out {output.page:q} --log {log:q}"


def made_here(*paths):
    """Those that this run made or needed: another's submission is no result of it."""
    needed = needed_outputs()
    return [Path(path) for path in paths if path in needed]


onsuccess:
    packed = [
        f"{folder}/summary.json"
        for name in ["labelled", *CONFIG.testsets]
        for folder in packed_folders(name)
    ]
    made = {
        "submission": made_here("submission.json"),
        "held-out": made_here(
            f"{ENSEMBLE}/{HELDOUT}/metrics_test_ens.json".format(ensemble=CANDIDATES[0])
        ),
        "candidates": made_here("results/candidates/index.html"),
        "report": made_here("results/report/index.html"),
        "rejected": made_here(*packed),
    }
    for line in ending_lines(made):
        logger.info(line)
