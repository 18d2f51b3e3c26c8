rule query_catalogue:
    output:
        "results/catalogue/catalogue.parquet",
    log:
        "logs/catalogue/query_catalogue.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        # One that runs out of time goes on where it stopped: answers are kept.
        runtime=lambda wildcards, attempt: 240 * attempt,
        disk_mb=1000,
        downloads=1,
    params:
        config=CONFIG_FILE,
        # What curation would drop in any case is not asked for in full.
        settings=settings_of(
            "catalogue", "curation.resolution", "curation.composition.protein_only"
        ),
    shell:
        "cryosamu catalogue --config {params.config} --store store -o {output} 2> {log}"
