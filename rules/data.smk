from stronglens.artefact import sha256_of
from stronglens.settings.data import PackSettings

SIMULATED = "results/simulated"
PACKED_FILES = {
    "cutouts": "cutouts.npy",
    "index": "index.parquet",
    "parameters": "parameters.parquet",
    "rejected": "rejected.csv",
    "summary": "summary.json",
}


def pack_settings(wildcards):
    """The settings of packing: of the labelled data, or of the test set that the wildcards name."""
    testset = wildcards.get("testset")
    if testset is None:
        return PackSettings.of_labelled(CONFIG.data)
    return PackSettings.of_testset(testset, CONFIG.testsets[testset], CONFIG.data)


def pack_options(wildcards):
    """The options of `build_buckets.py` that come from the config."""
    options = f"--settings {shlex.quote(as_parameter(pack_settings(wildcards)))}"
    testset = wildcards.get("testset")
    return options if testset is None else f"{options} --part {wildcards.part} --parts {n_parts(testset)}"


def data_paths(wildcards):
    """The folders and list files that a data set is packed from."""
    settings = pack_settings(wildcards)
    buckets = settings.labelled or settings.buckets
    return list(buckets.model_dump().values()) if buckets else [settings.path]


def simulated_data(wildcards):
    """What a simulated data set is packed from. A user's own folders are no inputs: their times mean nothing, a
    million names are not listed at every start, and they may be gone once they are packed."""
    return [f"{SIMULATED}/simulated.json"] if CONFIG.simulate and any(map(is_simulated, data_paths(wildcards))) else []


def is_simulated(path):
    return Path(path).is_relative_to(SIMULATED)


def list_contents(wildcards):
    """SHA-256 of each list file, so that a changed list is packed anew, whatever its size and time."""
    return json.dumps({path: sha256_of(Path(path)) for path in data_paths(wildcards) if Path(path).is_file()})


if CONFIG.simulate:

    rule simulate:
        input:
            code=sources("simulate.py"),
        output:
            description=f"{SIMULATED}/simulated.json",
            truth=f"{SIMULATED}/truth.csv",
            labelled=directory(f"{SIMULATED}/labelled"),
            blind=directory(f"{SIMULATED}/test_dataset_updated"),
        log:
            "logs/simulate.log",
        benchmark:
            "benchmarks/simulate.tsv"
        threads: 8
        resources:
            mem_mb=8_000,
            runtime=120,
        params:
            settings=as_parameter(CONFIG.simulate),
        shell:
            'python {input.code[0]:q} --settings {params.settings:q} --out-dir "$(dirname {output.description:q})"'
            ' --processes {threads} --log {log:q}'


rule build_buckets:
    input:
        code=sources("build_buckets.py"),
        simulated=simulated_data,
    output:
        **{name: f"{LABELLED}/{file}" for name, file in PACKED_FILES.items()},
    log:
        "logs/build_buckets/labelled.log",
    benchmark:
        "benchmarks/build_buckets/labelled.tsv"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 8_000 * attempt,
        runtime=120,
    params:
        options=pack_options,
        lists=list_contents,
    shell:
        'python {input.code[0]:q} {params.options} --out-dir "$(dirname {output.summary:q})"'
        ' --processes {threads} --log {log:q}'


use rule build_buckets as build_test_buckets with:
    output:
        **{
            name: f"results/buckets/{{testset}}/part_{{part}}/{file}"
            for name, file in PACKED_FILES.items()
        },
    log:
        "logs/build_buckets/{testset}_part_{part}.log",
    benchmark:
        "benchmarks/build_buckets/{testset}_part_{part}.tsv"
    wildcard_constraints:
        testset=one_of(CONFIG.testsets),


rule split_objects:
    input:
        code=sources("split_objects.py"),
        summary=f"{LABELLED}/summary.json",
        index=ancient(f"{LABELLED}/index.parquet"),
    output:
        objects=f"{SPLITS}/objects.parquet",
        description=f"{SPLITS}/objects.json",
    log:
        "logs/split_objects.log",
    threads: 2
    resources:
        mem_mb=8_000,
        runtime=120,
    params:
        settings=as_parameter(CONFIG.split),
    shell:
        'python {input.code[0]:q} --packed "$(dirname {input.summary:q})" --settings {params.settings:q}'
        ' --out-dir "$(dirname {output.description:q})" --log {log:q}'


rule inspect_data:
    input:
        code=sources("inspect_data.py"),
        summary=f"{LABELLED}/summary.json",
        cutouts=ancient(f"{LABELLED}/cutouts.npy"),
        index=ancient(f"{LABELLED}/index.parquet"),
        rejected=ancient(f"{LABELLED}/rejected.csv"),
        split=f"{SPLITS}/objects.json",
        objects=ancient(f"{SPLITS}/objects.parquet"),
    output:
        summary="results/inspection/labelled/summary.json",
    log:
        "logs/inspect_data.log",
    threads: 2
    resources:
        mem_mb=8_000,
        runtime=120,
    shell:
        'python {input.code[0]:q} --packed "$(dirname {input.summary:q})" --splits "$(dirname {input.split:q})"'
        ' --out-dir "$(dirname {output.summary:q})" --log {log:q}'
