# The vectors of single residues stay in the store; the tokens of a shard's models are in one file.
rule embed_models:
    input:
        work="results/split/{part}/{shard}.jsonl",
        # Others under the same name are others; the backend's own are part of its code.
        weights=SETTINGS.embedding.weights or [],
        checked=ancient(CHECKED),
    output:
        "results/embed/{part}/{shard}.safetensors",
    log:
        "logs/embed/{part}/{shard}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1 if gpus_for("embedding") else 4
    resources:
        **gpus_for("embedding"),
        mem_mb=lambda wildcards, threads, attempt: 4000 * (threads + 1) * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
        disk_mb=4000,
    params:
        config=CONFIG_FILE,
        # Not an output: what was embedded before a job fails is kept.
        models="results/embed/models",
        settings=settings_of(
            "embedding.backend",
            "embedding.weights",
            "embedding.mode",
            "embedding.precision",
            "embedding.copies",
            "embedding.pooling",
        ),
        code=stage_digest("embed"),
    shell:
        "cryosamu embed --work {input.work} --workers {threads} --config {params.config}"
        " --members {params.models} --pooled {output} 2> {log}"
