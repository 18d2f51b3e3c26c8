rule fetch_models:
    input:
        "results/curate/lists/{list}.txt",
    output:
        "results/fetch/models/{list}.parquet",
    log:
        "logs/fetch/models/{list}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=240,
        downloads=1,
    params:
        config=CONFIG_FILE,
        again=lambda wildcards: times_asked_again(wildcards.list),
    shell:
        "cryosamu fetch models {input} --config {params.config}"
        " --store store -o {output} 2> {log}"


rule fetch_map:
    output:
        "results/fetch/maps/{emdb_id}.json",
    log:
        "logs/fetch/maps/{emdb_id}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=240,
        downloads=1,
    params:
        config=CONFIG_FILE,
        again=lambda wildcards: times_asked_again(wildcards.emdb_id),
    shell:
        "cryosamu fetch map {wildcards.emdb_id} --config {params.config}"
        " --store store --record {output} 2> {log}"
