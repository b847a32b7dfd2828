"""Catalogues of test sets for other programs, and known lenses found again. On demand: `snakemake
results/catalogue/ENSEMBLE/TESTSET/catalogue.fits`."""

from stronglens.formats.known_lenses import KnownLenses

CATALOGUE = "results/catalogue/{ensemble}/{testset}"


def objects_of_test_set():
    """An ensemble's table of a test set and the objects of that set, as inputs."""
    return {
        "description": lambda wildcards: description_of(wildcards.ensemble, wildcards.testset),
        "ensemble": lambda wildcards: ancient(table_of(wildcards.ensemble, wildcards.testset)),
        "summary": packed_files("summary.json"),
        "index": large_packed_files("index.parquet"),
        "rejected": large_packed_files("rejected.csv"),
    }


def scored_options(wildcards):
    some = " --some" if wildcards.testset == HELDOUT else ""
    return f"{packed_options(wildcards.testset)}{some}"


def known_files(ensemble, testset, ending="csv"):
    """What was found of known lenses, as a list of one file; of none where the config names no known lenses."""
    folder = CATALOGUE.format(ensemble=ensemble, testset=testset)
    return [f"{folder}/known_lenses.{ending}"] if CONFIG.known_lenses else []


def known_option(ensemble, testset):
    return repeated("known-lenses", known_files(ensemble, testset))


KNOWN_TABLES = (
    {name: located(table.path) for name, table in CONFIG.known_lenses.tables.items()}
    if CONFIG.known_lenses
    else {}
)


def known_tables_sha256(wildcards):
    """SHA-256 of each of the user's tables; of one that is gone, what was stated when it was read."""
    (description,) = known_files(wildcards.ensemble, wildcards.testset, "json")
    try:
        stated = KnownLenses.read(Path(at(description))).sources
    except InputError:
        stated = {}
    return [file_sha256(path) or stated.get(name, "") for name, path in KNOWN_TABLES.items()]


if CONFIG.known_lenses:

    rule match_known_lenses:
        input:
            **objects_of_test_set(),
            script=script_path("match_known_lenses.py"),
        output:
            table=f"{CATALOGUE}/known_lenses.csv",
            description=f"{CATALOGUE}/known_lenses.json",
        log:
            "logs/match_known_lenses/{ensemble}/{testset}.log",
        benchmark:
            f"{BENCHMARKS}/match_known_lenses/{{ensemble}}/{{testset}}.tsv"
        conda:
            ENVIRONMENT
        threads: 2
        resources:
            **LIGHT,
        params:
            *code_of("match_known_lenses.py"),
            options=lambda wildcards: f"{settings_option(CONFIG.known_lenses)} {scored_options(wildcards)}",
            tables=known_tables_sha256,
        shell:
            "python {input.script:q} --ensemble-csv {input.ensemble:q} {params.options}"
            ' --out-dir "$(dirname {output.description:q})" --log {log:q}'


def catalogue_options(wildcards):
    """The options of `catalogue.py` that come from the config."""
    return " ".join(
        [
            f"--ensemble {wildcards.ensemble} --testset {wildcards.testset} {scored_options(wildcards)}",
            settings_option(CONFIG.catalogue),
            repeated("members", member_folders(wildcards.ensemble)),
            known_option(wildcards.ensemble, wildcards.testset),
            *simulated_option(),
        ]
    )


rule catalogue:
    input:
        **objects_of_test_set(),
        script=script_path("catalogue.py"),
        members=member_files("best.json"),
        known=lambda wildcards: known_files(wildcards.ensemble, wildcards.testset, "json"),
        known_table=lambda wildcards: ancient(known_files(wildcards.ensemble, wildcards.testset)),
    output:
        parquet=f"{CATALOGUE}/catalogue.parquet",
        fits=f"{CATALOGUE}/catalogue.fits",
        votable=f"{CATALOGUE}/catalogue.vot",
        watch_list=f"{CATALOGUE}/watch_list.csv",
        description=f"{CATALOGUE}/catalogue.json",
    log:
        "logs/catalogue/{ensemble}/{testset}.log",
    benchmark:
        f"{BENCHMARKS}/catalogue/{{ensemble}}/{{testset}}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("catalogue.py"),
        options=catalogue_options,
    shell:
        "python {input.script:q} --ensemble-csv {input.ensemble:q} {params.options}"
        ' --out-dir "$(dirname {output.description:q})" --log {log:q}'
