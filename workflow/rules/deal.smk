localrules:
    deal_pairs,


# A checkpoint, so that Snakemake then compares what is in the lists: a shard whose list is as it
# was has nothing done for it again.
checkpoint deal_pairs:
    input:
        split="results/split/split.parquet",
        repaired="results/curate/repaired.parquet",
        maps=map_tables,
        models=model_tables,
    output:
        training=expand("results/split/training/{shard}.jsonl", shard=SHARDS),
        test=expand("results/split/test/{shard}.jsonl", shard=SHARDS),
    log:
        "logs/split/deal_pairs.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=30,
        disk_mb=1000,
    params:
        config=CONFIG_FILE,
        fetches=lambda wildcards, input: repeated(
            "--fetches", [*input.maps, *input.models]
        ),
        folder=lambda wildcards, output: Path(output.training[0]).parents[1],
        settings=settings_of("shards.pairs"),
        code=code_of("curation.dealing", "pairs"),
    shell:
        "cryosamu deal {input.split} {params.fetches} --repaired {input.repaired}"
        " --config {params.config} -o {params.folder} 2> {log}"
