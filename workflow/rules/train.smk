
rule train_network:
    input:
        # Another pair in the test split trains nothing anew: what is learnt from is in the lists.
        split=ancient("results/split/split.parquet"),
        work=expand("results/split/training/{shard}.jsonl", shard=SHARDS),
        verified=VERIFIED_FILE if LOCKED else [],
        prepared=expand("results/prepare/{shard}.parquet", shard=SHARDS),
        tokens=expand("results/embed/training/{shard}.safetensors", shard=SHARDS),
        checked=ancient(CHECKED),
    output:
        checkpoint=f"{RUN}/checkpoint.safetensors",
        history=f"{RUN}/history.parquet",
    log:
        "logs/train/train_network.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 8
    resources:
        **gpus_for("training"),
        mem_mb=16000,
        runtime=2880,
        # Starts one process a task where a job has several, such as srun; see docs/training.md.
        launcher="",
    params:
        config=CONFIG_FILE,
        pairs="results/prepare/pairs",
        tokens=lambda wildcards, input: repeated("--tokens", input.tokens),
        # Not an output: Snakemake would delete it with a failed job, and work would be lost.
        state=f"{RUN}/state",
        lock=f"--lock {SETTINGS.catalogue.locked}" if LOCKED else "",
        settings=settings_of("training", "network"),
        code=code_of("network", "training"),
    shell:
        # In the shell's place, so that a cluster's warning reaches it and its steps are kept.
        "exec {resources.launcher} cryosamu train --split {input.split} --prepared {params.pairs}"
        " {params.tokens} --state {params.state} {params.lock} --config {params.config}"
        " -o {output.checkpoint} --history {output.history} 2> {log}"
