"""What a person looks at after a run: the page of candidates, and the pages of the report.

`snakemake --report report.html` puts everything marked with `report(...)`, here and in other rules, into one file.
"""

STATIC = sorted((SCRIPTS / "stronglens" / "candidates" / "static").iterdir())
"""Files of the page of candidates that are the same for every run."""

CITATION = [path for path in [CLONE / "CITATION.cff"] if path.is_file()]


CANDIDATES = CONFIG.submission.ensemble, CONFIG.submission.testset
"""The page of candidates is of what is submitted."""


rule candidates:
    input:
        script=script_path("candidates.py"),
        description=description_of(*CANDIDATES),
        ensemble=ancient(table_of(*CANDIDATES)),
        heldout_description=description_of(CANDIDATES[0], HELDOUT),
        heldout_ensemble=ancient(table_of(CANDIDATES[0], HELDOUT)),
        summary=[f"{folder}/summary.json" for folder in packed_folders(CANDIDATES[1])],
        cutouts=ancient([f"{folder}/cutouts.npy" for folder in packed_folders(CANDIDATES[1])]),
        index=ancient([f"{folder}/index.parquet" for folder in packed_folders(CANDIDATES[1])]),
        labelled=f"{LABELLED}/summary.json",
        labelled_cutouts=ancient(f"{LABELLED}/cutouts.npy"),
        labelled_index=ancient(f"{LABELLED}/index.parquet"),
    output:
        page="results/candidates/index.html",
        static=[f"results/candidates/{path.name}" for path in STATIC if path.name != "index.html"],
        data="results/candidates/data.js",
        images=directory("results/candidates/images"),
    log:
        "logs/candidates.log",
    benchmark:
        "results/benchmarks/candidates.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("candidates.py"),
        options=" ".join(
            [
                f"--ensemble {CANDIDATES[0]} --testset {CANDIDATES[1]} {packed_options(CANDIDATES[1])}",
                f"--settings {shlex.quote(as_parameter(CONFIG.candidates))}",
                *(["--simulated"] if CONFIG.simulate else []),
            ]
        ),
    shell:
        "python {input.script:q} --ensemble-csv {input.ensemble:q} --heldout-csv {input.heldout_ensemble:q}"
        ' --labelled "$(dirname {input.labelled:q})" {params.options}'
        ' --out-dir "$(dirname {output.page:q})" --log {log:q}'


rule describe_data:
    input:
        script=script_path("describe_data.py"),
        summary=f"{LABELLED}/summary.json",
        inspection="results/inspection/labelled/summary.json",
        split=f"{SPLITS}/objects.json",
        tests=[f"{folder}/summary.json" for name in CONFIG.testsets for folder in packed_folders(name)],
        rejected=ancient(
            [f"{folder}/rejected.csv" for name in CONFIG.testsets for folder in packed_folders(name)]
        ),
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
        "results/benchmarks/describe_data.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("describe_data.py"),
        options=named(
            "tests",
            {
                f"{name} part {part}" if n_parts(name) > 1 else name: f"{folder}/summary.json"
                for name in CONFIG.testsets
                for part, folder in enumerate(packed_folders(name))
            },
        ),
    shell:
        "python {input.script:q} --summary {input.summary:q} --inspection {input.inspection:q}"
        " --splits {input.split:q} {params.options} --out {output.page:q} --log {log:q}"


rule write_overview:
    input:
        script=script_path("write_overview.py"),
        citation=lambda wildcards: [in_clone(path) for path in CITATION],
        validation="results/ensemble/{ensemble}/val/metrics_val_ens.json",
        scored=expand("results/ensemble/{{ensemble}}/{testset}/metrics_test_ens.json", testset=SCORED),
        field=expand("results/evaluation/{{ensemble}}/{which}/field_metrics.json", which=["val", *SCORED]),
        descriptions=expand("results/ensemble/{{ensemble}}/{testset}/test_ens.json", testset=BLIND),
        blind=ancient(expand("results/ensemble/{{ensemble}}/{testset}/test_ens.csv", testset=BLIND)),
        drift=expand("results/drift/{{ensemble}}/{testset}/drift.json", testset=BLIND),
        members=lambda wildcards: [f"{folder}/best.json" for folder in member_folders(wildcards.ensemble)],
        trainings=lambda wildcards: [f"{folder}/results.json" for folder in trained_members(wildcards)],
    output:
        page=report(
            "results/report/{ensemble}/overview.html",
            caption="../workflow/report/overview.rst",
            category="1 Overview",
            labels={"ensemble": "{ensemble}"},
        ),
    log:
        "logs/write_overview/{ensemble}.log",
    benchmark:
        "results/benchmarks/write_overview/{ensemble}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("write_overview.py"),
        options=lambda wildcards: " ".join(
            [
                named(
                    "scored",
                    {
                        name: f"results/ensemble/{wildcards.ensemble}/{name}/metrics_test_ens.json"
                        for name in SCORED
                    },
                ),
                named(
                    "field",
                    {
                        name: f"results/evaluation/{wildcards.ensemble}/{which}/field_metrics.json"
                        for name, which in [("validation", "val"), *zip(SCORED, SCORED)]
                    },
                ),
                named("blind", {name: table_of(wildcards.ensemble, name) for name in BLIND}),
                named(
                    "drift",
                    {name: f"results/drift/{wildcards.ensemble}/{name}/drift.json" for name in BLIND},
                ),
                repeated("members", member_folders(wildcards.ensemble)),
                repeated("citation", [in_clone(path) for path in CITATION]),
                *(["--simulated"] if CONFIG.simulate else []),
            ]
        ),
    shell:
        "python {input.script:q} --ensemble {wildcards.ensemble} --validation {input.validation:q}"
        " {params.options} --out {output.page:q} --log {log:q}"
