# Each filter writes work lists, a shard each. It is a checkpoint, so that Snakemake then compares
# what is in them: an entry whose line is as before has nothing done for it again.


localrules:
    filter_metadata,
    filter_maps,
    draw_funnel,


checkpoint filter_metadata:
    input:
        catalogue="results/catalogue/catalogue.parquet",
    output:
        decisions="results/curate/metadata.parquet",
        lists=expand("results/curate/lists/{shard}.jsonl", shard=CANDIDATES),
    log:
        "logs/curate/filter_metadata.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=30,
        disk_mb=1000,
    params:
        config=CONFIG_FILE,
        lists=lambda wildcards, output: Path(output.lists[0]).parent,
        settings=settings_of(
            "archive.maximum_map_gigabytes",
            "curation.methods",
            "curation.resolution",
            "curation.composition",
            "shards.candidates",
        ),
        code=code_of("curation"),
    shell:
        "cryosamu curate metadata {input.catalogue} --config {params.config}"
        " -o {output.decisions} --work {params.lists} 2> {log}"


checkpoint filter_models:
    input:
        catalogue="results/catalogue/catalogue.parquet",
        decisions="results/curate/metadata.parquet",
        fetches=model_tables,
    output:
        decisions="results/curate/models.parquet",
        clusters="results/curate/clusters.parquet",
        work=expand("results/curate/work/{shard}.jsonl", shard=CANDIDATES),
    log:
        "logs/curate/filter_models.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
        disk_mb=4000,
    params:
        config=CONFIG_FILE,
        fetches=lambda wildcards, input: repeated("--fetches", input.fetches),
        work=lambda wildcards, output: Path(output.work[0]).parent,
        settings=settings_of(
            "curation.composition",
            "curation.completeness",
            "curation.clustering",
            "shards.candidates",
        ),
        code=code_of("curation"),
    shell:
        "cryosamu curate models {input.catalogue} --decisions {input.decisions}"
        " {params.fetches} --config {params.config} --threads {threads}"
        " -o {output.decisions} --clusters {output.clusters} --work {params.work} 2> {log}"


rule measure_pairs:
    input:
        work="results/curate/work/{shard}.jsonl",
        maps="results/fetch/maps/{shard}.parquet",
    output:
        "results/curate/measurements/{shard}.parquet",
    log:
        "logs/curate/measurements/{shard}.log",
    group:
        "measured_maps"
    conda:
        "../../envs/cryosamu.yaml"
    # Few: in its group they wait for the downloads, which take far longer.
    threads: 2
    resources:
        mem_mb=lambda wildcards, threads, attempt: 4000 * threads * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
        disk_mb=2000,
    params:
        # Not an output: what was measured before a job fails is kept.
        members=lambda wildcards, output: Path(output[0]).parent,
        code=stage_digest("measure"),
    shell:
        "cryosamu curate measure {input.work} --maps {input.maps} --members {params.members}"
        " --workers {threads} -o {output} 2> {log}"


rule filter_maps:
    input:
        catalogue="results/catalogue/catalogue.parquet",
        metadata="results/curate/metadata.parquet",
        models="results/curate/models.parquet",
        clusters="results/curate/clusters.parquet",
        measurements=measurement_tables,
    output:
        decisions="results/curate/decisions.parquet",
        pairs="results/curate/pairs.parquet",
    log:
        "logs/curate/filter_maps.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=30,
        disk_mb=1000,
    params:
        config=CONFIG_FILE,
        measurements=lambda wildcards, input: repeated(
            "--measurements", input.measurements
        ),
        settings=settings_of("curation.alignment", "curation.correlation"),
        code=code_of("curation"),
    shell:
        "cryosamu curate maps {input.catalogue} --decisions {input.metadata}"
        " --decisions {input.models} --clusters {input.clusters}"
        " {params.measurements} --config {params.config}"
        " -o {output.decisions} --pairs {output.pairs} 2> {log}"


rule repair_models:
    input:
        pairs="results/curate/pairs.parquet",
        measurements=measurement_tables,
        models=model_tables,
    output:
        "results/curate/repaired.parquet",
    log:
        "logs/curate/repair_models.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, threads, attempt: 2000 * threads * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        disk_mb=2000,
    params:
        # Not an output: what was moved before a job fails is kept.
        members=lambda wildcards, output: Path(output[0]).with_suffix(""),
        measurements=lambda wildcards, input: repeated(
            "--measurements", input.measurements
        ),
        models=lambda wildcards, input: repeated("--fetches", input.models),
        code=stage_digest("repair"),
    shell:
        "cryosamu curate repair {input.pairs} {params.measurements} {params.models}"
        " --members {params.members} --workers {threads} -o {output} 2> {log}"


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
        disk_mb=1000,
    params:
        code=code_of("curation.funnel", "report.figure"),
    shell:
        "cryosamu curate funnel {input.decisions} --catalogue {input.catalogue}"
        " -o {output} > {log} 2>&1"
