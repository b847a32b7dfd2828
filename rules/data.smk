"""From the survey's cutouts to packed, split, checked and inspected data."""

import functools
from hashlib import blake2b

from stronglens.formats.artefact import known_sha256
from stronglens.formats.packed import PackSummary
from stronglens.settings.data import PackSettings, located

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
            f"{BENCHMARKS}/simulate.tsv"
        conda:
            ENVIRONMENT
        threads: 8
        resources:
            **LIGHT,
        params:
            *code_of("simulate.py"),
            settings=as_parameter(CONFIG.simulate),
        shell:
            'python {input.script:q} --settings {params.settings:q} --out-dir "$(dirname {output.description:q})"'
            " --processes {threads} --log {log:q}"


def is_simulated(path):
    return Path(path).is_relative_to(SIMULATED) or Path(path).is_relative_to(at(SIMULATED))


def pack_settings(data_set):
    """The settings of packing: of the labelled data, or of a test set."""
    if data_set == "labelled":
        settings = PackSettings.of_labelled(CONFIG.data)
    else:
        settings = PackSettings.of_testset(data_set, CONFIG.testsets[data_set], CONFIG.data)
    return settings.with_paths(lambda path: at(path) if is_simulated(path) else path)


def pack_options(wildcards):
    """The options of `build_buckets.py` that come from the config."""
    testset = wildcards.get("testset")
    options = settings_option(pack_settings(testset or "labelled"))
    return options if testset is None else f"{options} --part {wildcards.part} --parts {n_parts(testset)}"


def simulated_data(wildcards):
    """What a simulated data set is packed from. A user's own folders are no inputs: their times mean nothing, a
    million names are not listed at every start, and they may be gone once they are packed."""
    paths = pack_settings(wildcards.get("testset", "labelled")).paths
    return [f"{SIMULATED}/simulated.json"] if CONFIG.simulate and any(map(is_simulated, paths)) else []


@functools.cache
def packed_summary(data_set):
    """What a packed data set says of itself, any part of it; None where there is none that can be read."""
    for folder in packed_folders(data_set):
        try:
            return PackSummary.read(Path(at(folder), "summary.json"))
        except InputError:
            continue
    return None


@functools.cache
def file_sha256(path):
    """SHA-256 of a file of the user's, "" where there is none; of a large one not computed at every start, but when its
    size, times or inode changed."""
    if not path.is_file():
        return ""
    path = path.resolve()
    name = blake2b(str(path).encode(errors="surrogateescape"), digest_size=8).hexdigest()
    return known_sha256(path, Path(at(f".snakemake/stronglens/{name}.json")))


def list_contents(wildcards):
    """SHA-256 of each list file, so that a changed list is packed anew, whatever its size and time.

    Of a list that is gone, that with which the data were packed: they stay.
    """
    data_set = wildcards.get("testset", "labelled")
    contents = {}
    for path in pack_settings(data_set).list_paths:
        if located(path).is_file():
            contents[path] = file_sha256(located(path))
        elif not located(path).exists() and (packed := packed_summary(data_set)) and path in packed.lists:
            contents[path] = packed.lists[path]
    return json.dumps(contents)


rule build_buckets:
    input:
        script=script_path("build_buckets.py"),
        simulated=simulated_data,
    output:
        **{name: f"{LABELLED}/{file}" for name, file in PACKED_FILES.items()},
    log:
        "logs/build_buckets/labelled.log",
    benchmark:
        f"{BENCHMARKS}/build_buckets/labelled.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        **LIGHT,
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
        f"{BENCHMARKS}/build_test_buckets/{{testset}}_part_{{part}}.tsv"
    wildcard_constraints:
        testset=one_of(CONFIG.testsets),


rule split_objects:
    input:
        **labelled_data("index"),
        script=script_path("split_objects.py"),
    output:
        objects=f"{SPLITS}/objects.parquet",
        description=f"{SPLITS}/objects.json",
    log:
        "logs/split_objects.log",
    benchmark:
        f"{BENCHMARKS}/split_objects.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("split_objects.py"),
        settings=as_parameter(CONFIG.split),
    shell:
        'python {input.script:q} --packed "$(dirname {input.summary:q})" --settings {params.settings:q}'
        ' --out-dir "$(dirname {output.description:q})" --log {log:q}'


PARTS_WITH_LABELS = [(name, folder) for name in SCORED if name != HELDOUT for folder in packed_folders(name)]
"""Labelled test sets, each part with its folder; the held-out one is no part of this."""


# Trainings wait for it and are not repeated for it: a labelled test set can be added later.
rule check_test_sets:
    input:
        **objects_split(),
        script=script_path("check_test_sets.py"),
        labelled=f"{LABELLED}/summary.json",
        index=ancient(f"{LABELLED}/index.parquet"),
        summary=[f"{folder}/summary.json" for _, folder in PARTS_WITH_LABELS],
        indices=ancient([f"{folder}/index.parquet" for _, folder in PARTS_WITH_LABELS]),
    output:
        checked=TEST_SETS_CHECKED,
    log:
        "logs/check_test_sets.log",
    benchmark:
        f"{BENCHMARKS}/check_test_sets.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("check_test_sets.py"),
        options=" ".join(named("tests", {name: folder}) for name, folder in PARTS_WITH_LABELS),
    shell:
        'python {input.script:q} --labelled "$(dirname {input.labelled:q})" --splits "$(dirname {input.split:q})"'
        " {params.options} --out {output.checked:q} --log {log:q}"


rule inspect_data:
    input:
        **labelled_data("cutouts", "index", "rejected"),
        **objects_split(),
        script=script_path("inspect_data.py"),
    output:
        summary=f"{INSPECTION}/summary.json",
        sheet=f"{INSPECTION}/contact_sheet.json",
        sheet_cutouts=f"{INSPECTION}/contact_sheet.npy",
        histograms=f"{INSPECTION}/histograms.json",
    log:
        "logs/inspect_data.log",
    benchmark:
        f"{BENCHMARKS}/inspect_data.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("inspect_data.py"),
    shell:
        'python {input.script:q} --packed "$(dirname {input.summary:q})" --splits "$(dirname {input.split:q})"'
        ' --out-dir "$(dirname {output.summary:q})" --log {log:q}'
