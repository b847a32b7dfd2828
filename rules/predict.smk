rule predict_val:
    input:
        script=script_path("predict.py"),
        member="results/models/{model}/seed_{seed}/best.json",
        weights=ancient("results/models/{model}/seed_{seed}/best.pt"),
        summary=f"{LABELLED}/summary.json",
        cutouts=ancient(f"{LABELLED}/cutouts.npy"),
        index=ancient(f"{LABELLED}/index.parquet"),
        split=f"{SPLITS}/objects.json",
        objects=ancient(f"{SPLITS}/objects.parquet"),
    output:
        predictions="results/predictions/{model}/seed_{seed}/val/pred_val.csv",
        description="results/predictions/{model}/seed_{seed}/val/pred_val.json",
        labels="results/predictions/{model}/seed_{seed}/val/labels_val.npy",
        probs="results/predictions/{model}/seed_{seed}/val/probs_val.npy",
        preds="results/predictions/{model}/seed_{seed}/val/preds_val.npy",
    log:
        "logs/predict_val/{model}/seed_{seed}.log",
    benchmark:
        "results/benchmarks/predict_val/{model}/seed_{seed}.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        gpu=1,
        mem_mb=doubled_at_retry(32_000),
        runtime=doubled_at_retry(12 * 60),
        device="auto",
        compile="auto",
        batch_size="auto",
    params:
        *code_of("predict.py"),
        options=lambda wildcards: f"--split val {predict_options(wildcards)}",
    shell:
        'python {input.script:q} --member "$(dirname {input.member:q})" --packed "$(dirname {input.summary:q})"'
        ' --splits "$(dirname {input.split:q})" {params.options} --out-dir "$(dirname {output.description:q})"'
        " --device {resources.device:q} --compile {resources.compile:q}"
        " --batch-size {resources.batch_size} --choices results/choices --threads {threads} --log {log:q}"


rule predict_test:
    input:
        script=script_path("predict.py"),
        member="results/models/{model}/seed_{seed}/best.json",
        weights=ancient("results/models/{model}/seed_{seed}/best.pt"),
        summary="results/buckets/{testset}/part_{part}/summary.json",
        cutouts=ancient("results/buckets/{testset}/part_{part}/cutouts.npy"),
        index=ancient("results/buckets/{testset}/part_{part}/index.parquet"),
    output:
        predictions="results/predictions/{model}/seed_{seed}/{testset}/part_{part}/pred_test.csv",
        description="results/predictions/{model}/seed_{seed}/{testset}/part_{part}/pred_test.json",
        labels="results/predictions/{model}/seed_{seed}/{testset}/part_{part}/labels_test.npy",
        probs="results/predictions/{model}/seed_{seed}/{testset}/part_{part}/probs_test.npy",
        preds="results/predictions/{model}/seed_{seed}/{testset}/part_{part}/preds_test.npy",
    log:
        "logs/predict_test/{model}/seed_{seed}/{testset}_part_{part}.log",
    benchmark:
        "results/benchmarks/predict_test/{model}/seed_{seed}/{testset}_part_{part}.tsv"
    wildcard_constraints:
        testset=one_of(CONFIG.testsets),
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        gpu=1,
        mem_mb=doubled_at_retry(32_000),
        runtime=doubled_at_retry(12 * 60),
        device="auto",
        compile="auto",
        batch_size="auto",
    params:
        *code_of("predict.py"),
        options=lambda wildcards: f"--which test {predict_options(wildcards)}",
    shell:
        'python {input.script:q} --member "$(dirname {input.member:q})" --packed "$(dirname {input.summary:q})"'
        ' {params.options} --out-dir "$(dirname {output.description:q})"'
        " --device {resources.device:q} --compile {resources.compile:q}"
        " --batch-size {resources.batch_size} --choices results/choices --threads {threads} --log {log:q}"


# The held-out test set: the labelled objects that no member has learnt from and t* was not chosen on.
use rule predict_val as predict_heldout with:
    output:
        predictions="results/predictions/{model}/seed_{seed}/heldout/part_0/pred_test.csv",
        description="results/predictions/{model}/seed_{seed}/heldout/part_0/pred_test.json",
        labels="results/predictions/{model}/seed_{seed}/heldout/part_0/labels_test.npy",
        probs="results/predictions/{model}/seed_{seed}/heldout/part_0/probs_test.npy",
        preds="results/predictions/{model}/seed_{seed}/heldout/part_0/preds_test.npy",
    log:
        "logs/predict_test/{model}/seed_{seed}/heldout_part_0.log",
    benchmark:
        "results/benchmarks/predict_test/{model}/seed_{seed}/heldout_part_0.tsv"
    params:
        options=lambda wildcards: f"--split test {predict_options(wildcards)}",
