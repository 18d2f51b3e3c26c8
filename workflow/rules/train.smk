
rule train_network:
    input:
        split="results/split/split.parquet",
        verified=VERIFIED_FILE if LOCKED else [],
        prepared=prepared_pairs,
        tokens=tokens_of("train", "validation"),
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
        # Starts one process a task where a job has several, such as srun; see docs/training.md.
        launcher="",
    params:
        config=CONFIG_FILE,
        # Not an output: Snakemake would delete it with a failed job, and work would be lost.
        state=f"{RUN}/state",
        lock=f"--lock {SETTINGS.catalogue.locked}" if LOCKED else "",
        settings=settings_of("training", "network"),
        code=code_of("network", "training"),
    shell:
        # In the shell's place, so that a cluster's warning reaches it and its steps are kept.
        "exec {resources.launcher} cryosamu train --split {input.split} --prepared results/prepare"
        " --tokens results/embed --state {params.state} {params.lock} --config {params.config}"
        " -o {output.checkpoint} --history {output.history} 2> {log}"
