# The data set that a lock names, instead of one that is asked for and split anew.


checkpoint query_catalogue:
    input:
        SETTINGS.catalogue.locked,
    output:
        catalogue="results/catalogue/catalogue.parquet",
        split="results/split/locked.parquet",
    log:
        "logs/catalogue/unlock.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_of("curation"),
    shell:
        "cryosamu curate unlock {input} --catalogue {output.catalogue}"
        " --split {output.split} 2> {log}"


checkpoint split_pairs:
    input:
        "results/split/locked.parquet",
    output:
        "results/split/split.parquet",
    log:
        "logs/split/split_pairs.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    shell:
        "cp {input} {output} 2> {log}"


rule verify_lock:
    input:
        lock=SETTINGS.catalogue.locked,
        decisions="results/curate/decisions.parquet",
        measurements=measurements_of_pairs,
        maps=map_records_of_pairs,
        models=model_tables,
    output:
        VERIFIED_FILE,
    log:
        "logs/split/verify_lock.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        config=CONFIG_FILE,
        settings=settings_of("catalogue", "curation", "split"),
        code=code_of("curation"),
    shell:
        "cryosamu curate verify {input.lock} --measurements results/curate/measurements"
        " --map-records results/fetch/maps --model-fetches results/fetch/models"
        " --config {params.config} -o {output} 2> {log}"
