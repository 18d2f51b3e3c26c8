checkpoint filter_metadata:
    input:
        catalogue="results/catalogue/catalogue.parquet",
    output:
        decisions="results/curate/metadata.parquet",
        lists=expand("results/curate/lists/{list}.txt", list=MODEL_LISTS),
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
        lists=lambda wildcards, output: Path(output.lists[0]).parent,
        settings=settings_of(
            "archive.maximum_map_gigabytes",
            "archive.model_lists",
            "curation.methods",
            "curation.resolution",
            "curation.composition",
        ),
        code=code_of("curation"),
    shell:
        "cryosamu curate metadata {input.catalogue} --config {params.config}"
        " -o {output.decisions} --model-lists {params.lists} 2> {log}"


checkpoint filter_models:
    input:
        catalogue="results/catalogue/catalogue.parquet",
        decisions="results/curate/metadata.parquet",
        fetches=model_tables,
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
        " --fetches results/fetch/models --config {params.config} --threads {threads}"
        " -o {output.decisions} --clusters {output.clusters} 2> {log}"


rule measure_pair:
    input:
        map="results/fetch/maps/{emdb_id}.json",
        models=fetched_model_of,
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
        pdb_id=pdb_id_of,
        model_sum=sum_of,
        resolution=resolution_of,
        code=code_of(
            "curation.header_offset",
            "curation.measurement",
            "curation.motion",
            "curation.pose",
            "curation.refinement",
            "evaluation",
            "structure",
            "volume",
        ),
    shell:
        "cryosamu curate measure --map-record {input.map} --fetches {input.models}"
        " --pdb-id {params.pdb_id} --resolution {params.resolution}"
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


rule repair_model:
    input:
        measurement="results/curate/measurements/{emdb_id}.json",
        models=fetched_model_of,
    output:
        "results/curate/repaired/{emdb_id}.cif.gz",
    log:
        "logs/curate/repaired/{emdb_id}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        model=lambda wildcards: model_path(pdb_id_of(wildcards)),
        model_sum=sum_of,
        code=code_of("curation.repair", "curation.motion", "structure.model"),
    shell:
        "cryosamu curate repair {params.model} --measurement {input.measurement}"
        " -o {output} 2> {log}"


rule draw_funnel:
    input:
        catalogue="results/catalogue/catalogue.parquet",
        decisions="results/curate/decisions.parquet",
    output:
        report(
            "results/curate/funnel.svg",
            caption="../report/funnel.rst",
            category="CryoSAMU",
        ),
    log:
        "logs/curate/draw_funnel.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=code_of("curation.funnel", "report.figure"),
    shell:
        "cryosamu curate funnel {input.decisions} --catalogue {input.catalogue}"
        " -o {output} > {log} 2>&1"
