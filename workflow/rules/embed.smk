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
