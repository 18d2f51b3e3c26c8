# The table alone is an output: the maps are what takes the time, and stay if the job fails. One map
# is made after the other, so that each one's time and memory are its own.


rule enhance_maps:
    input:
        work="results/split/test/{shard}.jsonl",
        predicted=predicted_models_of,
        checkpoint=f"{RUN}/checkpoint.safetensors",
        checked=ancient(CHECKED),
    output:
        "results/enhance/{condition}/{shard}.parquet",
    log:
        "logs/enhance/{condition}/{shard}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 2
    resources:
        **gpus_for("enhancement"),
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 480 * attempt,
        disk_mb=20000,
    params:
        config=CONFIG_FILE,
        maps=lambda wildcards: f"results/enhance/{wildcards.condition}/maps",
        settings=settings_of(
            "enhancement.window",
            "enhancement.margin",
            "enhancement.precision",
            "enhancement.skip_solvent",
            "enhancement.averaging",
        ),
        code=stage_digest("enhance"),
    shell:
        "cryosamu evaluate method {wildcards.condition} --work {input.work}"
        " --checkpoint {input.checkpoint} --config {params.config}"
        " -o {params.maps} --table {output} 2> {log}"


# A program that is not there, or fails, leaves no map and is a result.
rule enhance_elsewhere:
    input:
        work="results/split/test/{shard}.jsonl",
        checked=ancient(CHECKED),
    output:
        "results/methods/{method}/{shard}.parquet",
    log:
        "logs/methods/{method}/{shard}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=lambda wildcards, attempt: 960 * attempt,
        disk_mb=40000,
    params:
        config=CONFIG_FILE,
        maps=lambda wildcards: f"results/methods/{wildcards.method}/maps",
        settings=settings_of("evaluation.outside"),
        code=stage_digest("methods"),
    shell:
        "cryosamu evaluate method {wildcards.method} --work {input.work} --config {params.config}"
        " -o {params.maps} --table {output} 2> {log}"
