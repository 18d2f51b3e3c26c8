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
        # What curation would drop in any case is not asked for in full.
        settings=settings_of(
            "catalogue", "curation.resolution", "curation.composition.protein_only"
        ),
    shell:
        "cryosamu catalogue --config {params.config} --store store -o {output} 2> {log}"
