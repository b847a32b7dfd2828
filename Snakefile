from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

# Beyond the documented API, like rules/internals.smk, and needed to include that: at the root of a repository named
# with `gitfile`, Snakemake would look for `rules` in the root of the file system.
if getattr(workflow.included_stack[-1], "repo_path", None) and "/" not in workflow.included_stack[-1].path:
    workflow.included_stack[-1].path = f"./{workflow.included_stack[-1].path}"


include: "rules/internals.smk"
include: "rules/clone.smk"


# Exactly one config: Snakemake would merge a second one into the first, key by key.
if IS_MODULE or not GIVEN_CONFIG_FILES:

    configfile: default_config()


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/commands.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/predict.smk"
include: "rules/ensemble.smk"
include: "rules/evaluate.smk"
include: "rules/submission.smk"
include: "rules/capsule.smk"
include: "rules/catalogue.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
include: "rules/search.smk"
include: "rules/guard.smk"


rule all:
    default_target: True
    input:
        TARGETS,
        # All of it: a file that the page lacks since a newer version needs it makes it anew.
        rules.candidates.output,
        rules.plot_run_times.output.run_times,
        rules.write_index.output.page,


# Networks that learn from simulations alone, and what they lose on the real sky.
rule sim_to_real:
    input:
        transfer_result,
