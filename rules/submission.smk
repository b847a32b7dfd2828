def submission_options(testset):
    """The options of `submission.py` that come from the config."""
    simulated = " --simulated" if CONFIG.simulate else ""
    return f"--settings {shlex.quote(as_parameter(CONFIG.submission))} {packed_options(testset)}{simulated}"


rule submission:
    input:
        code=sources("submission.py"),
        description=f"results/ensemble/{CONFIG.submission.ensemble}/{CONFIG.submission.testset}/test_ens.json",
        ensemble=ancient(f"results/ensemble/{CONFIG.submission.ensemble}/{CONFIG.submission.testset}/test_ens.csv"),
        summary=[f"{folder}/summary.json" for folder in packed_folders(CONFIG.submission.testset)],
        index=ancient([f"{folder}/index.parquet" for folder in packed_folders(CONFIG.submission.testset)]),
        rejected=ancient([f"{folder}/rejected.csv" for folder in packed_folders(CONFIG.submission.testset)]),
    output:
        submission="submission.csv",
        provenance="submission.json",
    log:
        "logs/submission.log",
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 8_000 * attempt,
        runtime=120,
    params:
        options=submission_options(CONFIG.submission.testset),
    shell:
        "python {input.code[0]:q} --ensemble-csv {input.ensemble:q} {params.options}"
        " --out {output.submission:q} --provenance {output.provenance:q} --log {log:q}"


# The same from every ensemble, to compare.
use rule submission as submission_of_ensemble with:
    input:
        code=sources("submission.py"),
        description=f"results/ensemble/{{ensemble}}/{CONFIG.submission.testset}/test_ens.json",
        ensemble=ancient(f"results/ensemble/{{ensemble}}/{CONFIG.submission.testset}/test_ens.csv"),
        summary=[f"{folder}/summary.json" for folder in packed_folders(CONFIG.submission.testset)],
        index=ancient([f"{folder}/index.parquet" for folder in packed_folders(CONFIG.submission.testset)]),
        rejected=ancient([f"{folder}/rejected.csv" for folder in packed_folders(CONFIG.submission.testset)]),
    output:
        submission="results/submissions/{ensemble}.csv",
        provenance="results/submissions/{ensemble}.json",
    log:
        "logs/submission/{ensemble}.log",
