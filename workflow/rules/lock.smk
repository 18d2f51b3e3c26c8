localrules:
    lock_data_set,


rule lock_data_set:
    input:
        catalogue="results/catalogue/catalogue.parquet",
        decisions="results/curate/decisions.parquet",
        split="results/split/split.parquet",
        measurements=measurement_tables,
        maps=map_tables,
        models=model_tables,
    output:
        LOCK_FILE,
    log:
        "logs/split/lock_data_set.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=30,
        disk_mb=1000,
    params:
        config=CONFIG_FILE,
        tables=tables_of_files,
        settings=settings_of("catalogue", "curation", "split"),
        code=code_of("curation"),
    shell:
        "cryosamu curate lock --catalogue {input.catalogue} --decisions {input.decisions}"
        " --split {input.split} {params.tables} --config {params.config} -o {output} 2> {log}"
