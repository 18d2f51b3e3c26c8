# The data set that a lock names, instead of one that is asked for and split anew.


localrules:
    query_catalogue,
    split_pairs,


rule query_catalogue:
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
        disk_mb=1000,
    params:
        code=code_of("curation"),
    shell:
        "cryosamu curate unlock {input} --catalogue {output.catalogue}"
        " --split {output.split} 2> {log}"


# Nothing is made of pairs that are not as they were locked.
checkpoint split_pairs:
    input:
        split="results/split/locked.parquet",
        verified=VERIFIED_FILE,
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
        disk_mb=1000,
    shell:
        "cp {input.split} {output} 2> {log}"


rule verify_lock:
    input:
        lock=SETTINGS.catalogue.locked,
        decisions="results/curate/decisions.parquet",
        measurements=measurement_tables,
        maps=map_tables,
        models=model_tables,
    output:
        VERIFIED_FILE,
    log:
        "logs/split/verify_lock.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        # Every file of the data set is hashed again.
        runtime=lambda wildcards, attempt: 240 * attempt,
        disk_mb=1000,
    params:
        config=CONFIG_FILE,
        tables=tables_of_files,
        settings=settings_of("catalogue", "curation", "split"),
        code=code_of("curation"),
    shell:
        "cryosamu curate verify {input.lock} {params.tables}"
        " --config {params.config} -o {output} 2> {log}"
