RUN = f"results/train/{SETTINGS.training.run}"


def training_tokens(wildcards):
    pairs = pairs_in("train", "validation")
    return sorted(
        {f"results/embed/{shard_of(pair['emdb_id'])}.safetensors" for pair in pairs}
    )


rule train_network:
    input:
        split="results/split/split.parquet",
        prepared=prepared_pairs,
        tokens=training_tokens,
    output:
        checkpoint=f"{RUN}/checkpoint.safetensors",
        history=f"{RUN}/history.parquet",
    log:
        "logs/train/train_network.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 8
    resources:
        mem_mb=16000,
        runtime=2880,
    params:
        config=CONFIG_FILE,
        # Not an output: Snakemake would delete it with a failed job, and work would be lost.
        state=f"{RUN}/state",
        settings=settings_of("training", "network"),
        code=code_of("network", "training"),
    shell:
        "cryosamu train --split {input.split} --prepared results/prepare"
        " --tokens {input.tokens} --state {params.state} --config {params.config}"
        " -o {output.checkpoint} --history {output.history} 2> {log}"
