rule lock_data_set:
    input:
        catalogue="results/catalogue/catalogue.parquet",
        decisions="results/curate/decisions.parquet",
        split="results/split/split.parquet",
        measurements=measurements_of_pairs,
        maps=map_records_of_pairs,
        models=model_tables,
    output:
        LOCK_FILE,
    log:
        "logs/split/lock_data_set.log",
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
        "cryosamu curate lock --catalogue {input.catalogue} --decisions {input.decisions}"
        " --split {input.split} --measurements results/curate/measurements"
        " --map-records results/fetch/maps --model-fetches results/fetch/models"
        " --config {params.config} -o {output} 2> {log}"
