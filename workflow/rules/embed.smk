rule embed_model:
    input:
        ancient("results/split/split.parquet"),
    output:
        "results/embed/{pdb_id}.safetensors",
    log:
        "logs/embed/{pdb_id}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=60,
    params:
        config=CONFIG_FILE,
        model=lambda wildcards: model_path(wildcards.pdb_id),
        model_sum=sum_of_model,
        settings=settings_of(
            "embedding.backend",
            "embedding.weights",
            "embedding.mode",
            "embedding.precision",
            "embedding.copies",
            "embedding.pooling",
        ),
        code=code_of("embedding", "structure.model"),
    shell:
        "cryosamu embed {params.model} --config {params.config}"
        " --pooled {output} 2> {log}"
