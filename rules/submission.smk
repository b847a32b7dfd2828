rule submission:
    input:
        **submission_inputs(CONFIG.submission.ensemble),
    output:
        submission="submission.csv",
        provenance="submission.json",
    log:
        "logs/submission.log",
    benchmark:
        "results/benchmarks/submission.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=doubled_at_retry(8_000),
        runtime=doubled_at_retry(120),
    params:
        *code_of("submission.py"),
        options=submission_options(CONFIG.submission.ensemble),
    shell:
        "python {input.script:q} --ensemble-csv {input.ensemble:q} {params.options}"
        ' --labelled "$(dirname {input.labelled:q})" --splits "$(dirname {input.split:q})"'
        ' --validation "$(dirname {input.validation:q})"'
        " --out {output.submission:q} --provenance {output.provenance:q} --log {log:q}"


# The same from every ensemble, to compare.
use rule submission as submission_of_ensemble with:
    input:
        **submission_inputs("{ensemble}"),
    output:
        submission="results/submissions/{ensemble}.csv",
        provenance="results/submissions/{ensemble}.json",
    log:
        "logs/submission/{ensemble}.log",
    benchmark:
        "results/benchmarks/submission_of_ensemble/{ensemble}.tsv"
    params:
        options=lambda wildcards: submission_options(wildcards.ensemble),
