def shard_pairs(wildcards):
    pairs = pairs_in("train", "validation", "test")
    return [pair for pair in pairs if shard_of(pair["emdb_id"]) == wildcards.shard]


def shard_records(wildcards):
    return [
        f"results/fetch/models/{pair['pdb_id']}.json" for pair in shard_pairs(wildcards)
    ]


def shard_models(wildcards):
    return [
        f"store/archive/models/{pair['pdb_id']}.cif.gz"
        for pair in shard_pairs(wildcards)
    ]


def token_shards(wildcards):
    """The shards that hold an accepted pair."""
    pairs = pairs_in("train", "validation", "test")
    return sorted(
        {f"results/embed/{shard_of(pair['emdb_id'])}.safetensors" for pair in pairs}
    )


rule embed_shard:
    input:
        records=shard_records,
    output:
        "results/embed/{shard}.safetensors",
    log:
        "logs/embed/{shard}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=240,
    params:
        config=CONFIG_FILE,
        models=shard_models,
        settings=settings_of(
            "embedding.backend",
            "embedding.weights",
            "embedding.mode",
            "embedding.pooling",
        ),
        code=code_of("embedding", "structure.model"),
    shell:
        "cryosamu embed {params.models} --config {params.config}"
        " --store store/embeddings --pooled {output} 2> {log}"
