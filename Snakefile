from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

# Exactly one config: Snakemake would merge a second one into the first, key by key.
if not workflow.overwrite_configfiles:
    own_config = Path("config/local.yaml")

    configfile: own_config if own_config.exists() else "config/config.yaml"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/predict.smk"
include: "rules/ensemble.smk"
include: "rules/evaluate.smk"
include: "rules/submission.smk"


rule all:
    default_target: True
    input:
        "submission.csv",
        "results/inspection/labelled/summary.json",
        expand("results/drift/{ensemble}/{testset}/drift.json", ensemble=CONFIG.ensembles, testset=BLIND),
        expand("results/submissions/{ensemble}.csv", ensemble=CONFIG.ensembles),
        expand(
            "results/evaluation/{ensemble}/{which}/metrics.csv",
            ensemble=CONFIG.ensembles,
            which=["val", *SCORED],
        ),
