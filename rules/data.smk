if CONFIG.simulate:

    rule simulate:
        input:
            script=script_path("simulate.py"),
        output:
            description=f"{SIMULATED}/simulated.json",
            truth=f"{SIMULATED}/truth.csv",
            labelled=directory(f"{SIMULATED}/labelled"),
            blind=directory(f"{SIMULATED}/test_dataset_updated"),
        log:
            "logs/simulate.log",
        benchmark:
            "results/benchmarks/simulate.tsv"
        conda:
            ENVIRONMENT
        threads: 8
        resources:
            mem_mb=doubled_at_retry(8_000),
            runtime=doubled_at_retry(120),
        params:
            *code_of("simulate.py"),
            settings=as_parameter(CONFIG.simulate),
        shell:
            'python {input.script:q} --settings {params.settings:q} --out-dir "$(dirname {output.description:q})"'
            " --processes {threads} --log {log:q}"


rule build_buckets:
    input:
        script=script_path("build_buckets.py"),
        simulated=simulated_data,
    output:
        **{name: f"{LABELLED}/{file}" for name, file in PACKED_FILES.items()},
    log:
        "logs/build_buckets/labelled.log",
    benchmark:
        "results/benchmarks/build_buckets/labelled.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("build_buckets.py"),
        options=pack_options,
        lists=list_contents,
    shell:
        'python {input.script:q} {params.options} --out-dir "$(dirname {output.summary:q})"'
        " --processes {threads} --log {log:q}"


use rule build_buckets as build_test_buckets with:
    output:
        **{name: f"results/buckets/{{testset}}/part_{{part}}/{file}" for name, file in PACKED_FILES.items()},
    log:
        "logs/build_buckets/{testset}_part_{part}.log",
    benchmark:
        "results/benchmarks/build_buckets/{testset}_part_{part}.tsv"
    wildcard_constraints:
        testset=one_of(CONFIG.testsets),


rule split_objects:
    input:
        script=script_path("split_objects.py"),
        summary=f"{LABELLED}/summary.json",
        index=ancient(f"{LABELLED}/index.parquet"),
    output:
        objects=f"{SPLITS}/objects.parquet",
        description=f"{SPLITS}/objects.json",
    log:
        "logs/split_objects.log",
    benchmark:
        "results/benchmarks/split_objects.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("split_objects.py"),
        settings=as_parameter(CONFIG.split),
    shell:
        'python {input.script:q} --packed "$(dirname {input.summary:q})" --settings {params.settings:q}'
        ' --out-dir "$(dirname {output.description:q})" --log {log:q}'


# Trainings wait for it and are not repeated for it: a labelled test set can be added later.
rule check_test_sets:
    input:
        script=script_path("check_test_sets.py"),
        labelled=f"{LABELLED}/summary.json",
        index=ancient(f"{LABELLED}/index.parquet"),
        split=f"{SPLITS}/objects.json",
        objects=ancient(f"{SPLITS}/objects.parquet"),
        summary=[f"{folder}/summary.json" for folder in parts_with_labels().values()],
        indices=ancient([f"{folder}/index.parquet" for folder in parts_with_labels().values()]),
    output:
        checked=TEST_SETS_CHECKED,
    log:
        "logs/check_test_sets.log",
    benchmark:
        "results/benchmarks/check_test_sets.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("check_test_sets.py"),
        options=" ".join(named("tests", {name: folder}) for (name, _), folder in parts_with_labels().items()),
    shell:
        'python {input.script:q} --labelled "$(dirname {input.labelled:q})" --splits "$(dirname {input.split:q})"'
        " {params.options} --out {output.checked:q} --log {log:q}"


rule inspect_data:
    input:
        script=script_path("inspect_data.py"),
        summary=f"{LABELLED}/summary.json",
        cutouts=ancient(f"{LABELLED}/cutouts.npy"),
        index=ancient(f"{LABELLED}/index.parquet"),
        rejected=ancient(f"{LABELLED}/rejected.csv"),
        split=f"{SPLITS}/objects.json",
        objects=ancient(f"{SPLITS}/objects.parquet"),
    output:
        summary="results/inspection/labelled/summary.json",
        sheet="results/inspection/labelled/contact_sheet.json",
        sheet_cutouts="results/inspection/labelled/contact_sheet.npy",
        histograms="results/inspection/labelled/histograms.json",
    log:
        "logs/inspect_data.log",
    benchmark:
        "results/benchmarks/inspect_data.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("inspect_data.py"),
    shell:
        'python {input.script:q} --packed "$(dirname {input.summary:q})" --splits "$(dirname {input.split:q})"'
        ' --out-dir "$(dirname {output.summary:q})" --log {log:q}'
