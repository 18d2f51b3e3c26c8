rule fetch_model:
    output:
        "results/fetch/models/{pdb_id}.json",
    log:
        "logs/fetch/models/{pdb_id}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
        downloads=1,
    params:
        config=CONFIG_FILE,
    shell:
        "cryosamu fetch model {wildcards.pdb_id} --config {params.config}"
        " --store store --record {output} 2> {log}"


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
    shell:
        "cryosamu fetch map {wildcards.emdb_id} --config {params.config}"
        " --store store --record {output} 2> {log}"
