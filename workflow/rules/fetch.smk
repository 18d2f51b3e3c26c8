# A shard of models, or of maps, a job. What was downloaded stays in the store whatever becomes of
# the job, with a checksum beside it: the next one takes it from there.


rule fetch_models:
    input:
        "results/curate/lists/{shard}.jsonl",
    output:
        "results/fetch/models/{shard}.parquet",
    log:
        "logs/fetch/models/{shard}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
        disk_mb=2000,
        downloads=1,
    params:
        config=CONFIG_FILE,
        again=lambda wildcards: times_asked_again(f"models/{wildcards.shard}"),
    shell:
        "cryosamu fetch models {input} --config {params.config}"
        " --store store -o {output} 2> {log}"


# With the measurement of the same maps in one job of a cluster: they are still at hand there.
rule fetch_maps:
    input:
        "results/curate/work/{shard}.jsonl",
    output:
        "results/fetch/maps/{shard}.parquet",
    log:
        "logs/fetch/maps/{shard}.log",
    group:
        "measured_maps"
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
        disk_mb=20000,
        downloads=1,
    params:
        config=CONFIG_FILE,
        again=lambda wildcards: times_asked_again(f"maps/{wildcards.shard}"),
    shell:
        "cryosamu fetch maps {input} --config {params.config}"
        " --store store -o {output} 2> {log}"
