checkpoint split_pairs:
    input:
        pairs="results/curate/pairs.parquet",
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
    params:
        config=CONFIG_FILE,
        settings=settings_of("split"),
        code=code_of("curation.split"),
    shell:
        "cryosamu split {input.pairs} --config {params.config} -o {output} 2> {log}"
