checkpoint query_catalogue:
    output:
        "results/catalogue/catalogue.parquet",
    log:
        "logs/catalogue/query_catalogue.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        config=CONFIG_FILE,
        settings=settings_of("catalogue"),
    shell:
        "cryosamu catalogue --config {params.config} -o {output} 2> {log}"
