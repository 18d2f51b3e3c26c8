rule prepare_pairs:
    input:
        work="results/split/training/{shard}.jsonl",
        checked=ancient(CHECKED),
    output:
        "results/prepare/{shard}.parquet",
    log:
        "logs/prepare/{shard}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, threads, attempt: 4000 * threads * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
        disk_mb=20000,
    params:
        config=CONFIG_FILE,
        # Not an output: what was prepared before a job fails is kept.
        pairs="results/prepare/pairs",
        settings=settings_of("preparation"),
        code=stage_digest("prepare"),
    shell:
        "cryosamu prepare --work {input.work} --workers {threads} --config {params.config}"
        " -o {params.pairs} --table {output} 2> {log}"
