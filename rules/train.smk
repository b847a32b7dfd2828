rule train:
    input:
        script=script_path("train.py"),
        summary=f"{LABELLED}/summary.json",
        cutouts=ancient(f"{LABELLED}/cutouts.npy"),
        index=ancient(f"{LABELLED}/index.parquet"),
        split=f"{SPLITS}/objects.json",
        objects=ancient(f"{SPLITS}/objects.parquet"),
        parameters=lens_truth,
        test_sets=ancient(TEST_SETS_CHECKED),
    output:
        best="results/models/{model}/seed_{seed}/best.pt",
        last="results/models/{model}/seed_{seed}/last.pt",
        description="results/models/{model}/seed_{seed}/best.json",
        training_log="results/models/{model}/seed_{seed}/training_log.csv",
        results="results/models/{model}/seed_{seed}/results.json",
    log:
        "results/models/{model}/seed_{seed}/train.log",
    benchmark:
        "results/benchmarks/train/{model}/seed_{seed}.tsv"
    wildcard_constraints:
        model=one_of(TRAINED),
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        gpu=1,
        mem_mb=doubled_at_retry(48_000),
        # Not more at a retry, which queues may not allow: it goes on where the first try was cut.
        runtime=72 * 60,
        device="auto",
        compile="auto",
    params:
        *code_of("train.py"),
        settings=lambda wildcards: as_parameter(CONFIG.member_settings(wildcards.model, int(wildcards.seed))),
    shell:
        'python {input.script:q} --packed "$(dirname {input.summary:q})" --splits "$(dirname {input.split:q})"'
        ' --out-dir "$(dirname {output.description:q})" --model {wildcards.model} --seed {wildcards.seed}'
        " --settings {params.settings:q} --device {resources.device:q} --compile {resources.compile:q} --threads {threads}"
        " --choices results/choices --log {log:q}"


rule import_member:
    input:
        script=script_path("import_member.py"),
        checkpoint=checkpoint_input,
    output:
        best="results/models/{model}/seed_{seed}/best.pt",
        description="results/models/{model}/seed_{seed}/best.json",
    log:
        "results/models/{model}/seed_{seed}/import_member.log",
    benchmark:
        "results/benchmarks/import_member/{model}/seed_{seed}.tsv"
    wildcard_constraints:
        model=one_of(READY),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("import_member.py"),
        settings=lambda wildcards: as_parameter(CONFIG.member_settings(wildcards.model, int(wildcards.seed))),
        size_px=CONFIG.data.size_px,
        checkpoint=lambda wildcards: checkpoint_sha256(checkpoint_of(wildcards)),
    shell:
        'python {input.script:q} --checkpoint {input.checkpoint:q} --out-dir "$(dirname {output.description:q})"'
        " --model {wildcards.model} --seed {wildcards.seed} --settings {params.settings:q}"
        " --size-px {params.size_px} --log {log:q}"
