"""Members: trained here, or made from weights that were trained elsewhere."""

import re

from stronglens.formats.member_files import MemberDescription
from stronglens.settings.member import MemberSettings
from stronglens.settings.network import HUB


def lens_truth(wildcards):
    """What is known of the lenses, where a member learns to estimate it; no input of any other member."""
    estimates = CONFIG.member_settings(wildcards.model, int(wildcards.seed)).lens_parameters
    return ancient([f"{LABELLED}/parameters.parquet"]) if estimates else []


def teacher_of(wildcards):
    """The ensemble whose probabilities a member learns, if it learns some."""
    return CONFIG.member_settings(wildcards.model, int(wildcards.seed)).distil_from


def lesson(ending):
    """An input function: what that ensemble says of the objects to learn from, as a list of one file, or of none."""
    return lambda wildcards: [
        f"{ENSEMBLE}/train/train_ens.{ending}".format(ensemble=teacher)
        for teacher in [teacher_of(wildcards)]
        if teacher is not None
    ]


def unlabelled_sets(wildcards):
    """The folders of the test sets that a member learns from too, by name, and its teacher's tables of them."""
    testsets = CONFIG.member_settings(wildcards.model, int(wildcards.seed)).distil_on
    folders = {testset: f"results/buckets/{testset}" for testset in testsets}
    return folders, {testset: table_of(teacher_of(wildcards), testset) for testset in testsets}


def unlabelled_data():
    """Those test sets as inputs; of any other member none.

    Their tables follow from what else is an input, the teacher's members and the packed sets, but for t*, which has no
    part in what is learnt.
    """

    def packed(wildcards, *files):
        parts = [folder for testset in unlabelled_sets(wildcards)[0] for folder in packed_folders(testset)]
        return [f"{folder}/{file}" for folder in parts for file in files]

    def taught(wildcards):
        tables = unlabelled_sets(wildcards)[1]
        described = [description_of(teacher_of(wildcards), testset) for testset in tables]
        return [*tables.values(), *described, *packed(wildcards, "cutouts.npy", "index.parquet")]

    return {
        "unlabelled": lambda wildcards: packed(wildcards, "summary.json"),
        "unlabelled_large": lambda wildcards: ancient(taught(wildcards)),
    }


def teaching_options(wildcards):
    """The options of `train.py` for a member that learns from an ensemble."""
    folders, tables = unlabelled_sets(wildcards)
    options = [
        repeated("teacher", lesson("csv")(wildcards)),
        named("unlabelled", folders),
        named("unlabelled-teacher", tables),
    ]
    return " ".join(filter(None, options))


def start_of(settings):
    """The file of the weights that a member starts from, if it is one of the user's; of a folder, what timm calls it."""
    network = settings.network.weights
    if settings.init_from is not None:
        return located(settings.init_from.path)
    if network is None or re.fullmatch(HUB, network):
        return None
    return located(network) / "model.safetensors" if located(network).is_dir() else located(network)


def tracker_of(wildcards):
    """Who watches a training: a resource, since a parameter that changes would train its member again."""
    return CONFIG.member_settings(wildcards.model, int(wildcards.seed)).train.tracker


# Files of the user's that may be gone later are no inputs: Snakemake leaves out a job, without a word, whose outputs are
# there and whose inputs are gone. What is in them is a parameter; the guard refuses a run that needs one that is gone.


def member_statement(wildcards):
    """What a member that is there states of itself, else None."""
    try:
        return MemberDescription.read(Path(at(member_folder(wildcards.model, wildcards.seed)), "best.json"))
    except InputError:
        return None


def sha256_of_start(settings, stated):
    """SHA-256 of the file that a member with these settings starts from; of one that is gone, what `stated` says, the
    settings in the file of a member or trial that is there, else None."""
    path = start_of(settings)
    if path is None or path.is_file():
        return file_sha256(path) if path else ""
    if stated is None:
        return ""
    trained = MemberSettings.model_validate(stated)
    return (trained.init_from.sha256 if trained.init_from else trained.network.weights_sha256) or ""


def start_sha256(wildcards):
    trained = member_statement(wildcards)
    settings = CONFIG.member_settings(wildcards.model, int(wildcards.seed))
    return sha256_of_start(settings, trained.settings if trained else None)


rule train:
    input:
        **labelled_data("cutouts", "index"),
        **objects_split(),
        **unlabelled_data(),
        script=script_path("train.py"),
        parameters=lens_truth,
        teacher=lesson("json"),
        teacher_table=lambda wildcards: ancient(lesson("csv")(wildcards)),
        test_sets=ancient(TEST_SETS_CHECKED),
    output:
        best=f"{MEMBER}/best.pt",
        last=f"{MEMBER}/last.pt",
        description=f"{MEMBER}/best.json",
        training_log=f"{MEMBER}/training_log.csv",
        results=f"{MEMBER}/results.json",
    log:
        f"{MEMBER}/train.log",
    benchmark:
        f"{BENCHMARKS}/train/{{model}}/seed_{{seed}}.tsv"
    wildcard_constraints:
        model=one_of(TRAINED),
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        **TRAINING,
        tracker=tracker_of,
    params:
        *code_of("train.py"),
        settings=member_settings,
        start=start_sha256,
        options=teaching_options,
    shell:
        'python {input.script:q} --packed "$(dirname {input.summary:q})" --splits "$(dirname {input.split:q})"'
        ' --out-dir "$(dirname {output.description:q})" --model {wildcards.model} --seed {wildcards.seed}'
        " --settings {params.settings:q} --device {resources.device:q} --compile {resources.compile:q} --threads {threads}"
        f" --settings.train.tracker {{resources.tracker:q}} --choices {CHOICES} {{params.options}} --log {{log:q}}"


def checkpoint_of(wildcards):
    """The weights of a member that was trained elsewhere."""
    return located(CONFIG.models[wildcards.model].checkpoints[int(wildcards.seed)])


def checkpoint_sha256(wildcards):
    """SHA-256 of these weights; of a file that is gone, what the imported member states."""
    path = checkpoint_of(wildcards)
    if path.is_file():
        return file_sha256(path)
    imported = member_statement(wildcards)
    return (imported.source_sha256 or "") if imported and imported.source == str(path) else ""


rule import_member:
    input:
        script=script_path("import_member.py"),
    output:
        best=f"{MEMBER}/best.pt",
        description=f"{MEMBER}/best.json",
    log:
        f"{MEMBER}/import_member.log",
    benchmark:
        f"{BENCHMARKS}/import_member/{{model}}/seed_{{seed}}.tsv"
    wildcard_constraints:
        model=one_of(READY),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **LIGHT,
    params:
        *code_of("import_member.py"),
        settings=member_settings,
        size_px=CONFIG.data.size_px,
        checkpoint=lambda wildcards: str(checkpoint_of(wildcards)),
        checkpoint_sha256=checkpoint_sha256,
    shell:
        'python {input.script:q} --checkpoint {params.checkpoint:q} --out-dir "$(dirname {output.description:q})"'
        " --model {wildcards.model} --seed {wildcards.seed} --settings {params.settings:q}"
        " --size-px {params.size_px} --log {log:q}"
