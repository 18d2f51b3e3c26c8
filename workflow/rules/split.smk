localrules:
    split_pairs,


checkpoint split_pairs:
    input:
        pairs="results/curate/pairs.parquet",
        clusters="results/curate/clusters.parquet",
    output:
        "results/split/split.parquet",
    log:
        "logs/split/split_pairs.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
        disk_mb=1000,
    params:
        config=CONFIG_FILE,
        # Not an output: it remembers every assignment, also when this job is run anew.
        ledger="store/split",
        settings=settings_of("split"),
        code=code_of("curation.split", "curation.ledger"),
    shell:
        "cryosamu split {input.pairs} --clusters {input.clusters} --ledger {params.ledger}"
        " --config {params.config} -o {output} 2> {log}"
