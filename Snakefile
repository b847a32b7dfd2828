from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

# At the root of a repository named with `gitfile`, Snakemake would look for "/rules/…".
if getattr(workflow.included_stack[-1], "repo_path", None) and "/" not in workflow.included_stack[-1].path:
    workflow.included_stack[-1].path = f"./{workflow.included_stack[-1].path}"


include: "rules/clone.smk"


# Exactly one config: Snakemake would merge a second one into the first, key by key.
if IS_MODULE or not workflow.overwrite_configfiles:

    configfile: default_config()


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/predict.smk"
include: "rules/ensemble.smk"
include: "rules/evaluate.smk"
include: "rules/submission.smk"
include: "rules/capsule.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
include: "rules/search.smk"
include: "rules/guard.smk"


rule all:
    default_target: True
    input:
        "submission.csv",
        "results/inspection/labelled/cutouts.png",
        expand("results/drift/{ensemble}/{testset}/drift.png", ensemble=ENSEMBLES, testset=CONFIG.testsets),
        expand("results/submissions/{ensemble}.csv", ensemble=ENSEMBLES),
        expand(
            "results/evaluation/{ensemble}/{which}/roc.png",
            ensemble=ENSEMBLES,
            which=["val", *SCORED],
        ),
        expand(
            "results/evaluation/{ensemble}/{which}/lens_parameters.png",
            ensemble=ESTIMATING,
            which=["val", *SCORED],
        ),
        "results/candidates/index.html",
        "results/report/data.html",
        "results/report/run_times.png",
        expand("results/report/{ensemble}/overview.html", ensemble=ENSEMBLES),
        expand("results/report/{ensemble}/training.png", ensemble=ENSEMBLES),


# Networks that learn from simulations alone, and what they lose on the real sky.
rule sim_to_real:
    input:
        transfer_result,
