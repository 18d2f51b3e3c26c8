checkpoint filter_metadata:
    input:
        catalogue="results/catalogue/catalogue.parquet",
    output:
        "results/curate/metadata.parquet",
    log:
        "logs/curate/filter_metadata.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        config=CONFIG_FILE,
        settings=settings_of(
            "archive.maximum_map_gigabytes",
            "curation.methods",
            "curation.resolution",
            "curation.composition",
        ),
        code=code_of("curation"),
    shell:
        "cryosamu curate metadata {input.catalogue} --config {params.config}"
        " -o {output} 2> {log}"


checkpoint filter_models:
    input:
        catalogue="results/catalogue/catalogue.parquet",
        decisions="results/curate/metadata.parquet",
        records=candidate_models,
    output:
        decisions="results/curate/models.parquet",
        clusters="results/curate/clusters.parquet",
    log:
        "logs/curate/filter_models.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        config=CONFIG_FILE,
        settings=settings_of(
            "curation.composition", "curation.completeness", "curation.clustering"
        ),
        code=code_of("curation"),
    shell:
        "cryosamu curate models {input.catalogue} --decisions {input.decisions}"
        " --records results/fetch/models --config {params.config}"
        " -o {output.decisions} --clusters {output.clusters} 2> {log}"


rule measure_pair:
    input:
        records=records_of,
    output:
        "results/curate/measurements/{emdb_id}.json",
    log:
        "logs/curate/measurements/{emdb_id}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=60,
    params:
        resolution=resolution_of,
        code=code_of(
            "curation.measurement",
            "curation.pose",
            "evaluation",
            "structure",
            "volume",
        ),
    shell:
        "cryosamu curate measure --map-record {input.records[0]}"
        " --model-record {input.records[1]} --resolution {params.resolution}"
        " -o {output} 2> {log}"


rule filter_maps:
    input:
        catalogue="results/catalogue/catalogue.parquet",
        metadata="results/curate/metadata.parquet",
        models="results/curate/models.parquet",
        clusters="results/curate/clusters.parquet",
        measurements=measurements,
    output:
        decisions="results/curate/decisions.parquet",
        pairs="results/curate/pairs.parquet",
    log:
        "logs/curate/filter_maps.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        config=CONFIG_FILE,
        settings=settings_of("curation.alignment", "curation.correlation"),
        code=code_of("curation"),
    shell:
        "cryosamu curate maps {input.catalogue} --decisions {input.metadata}"
        " --decisions {input.models} --clusters {input.clusters}"
        " --measurements results/curate/measurements --config {params.config}"
        " -o {output.decisions} --pairs {output.pairs} 2> {log}"
