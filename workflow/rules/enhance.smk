rule enhance_map:
    input:
        repaired=repaired_model_of,
        predicted=predicted_model_of,
        checkpoint=f"{RUN}/checkpoint.safetensors",
        # Only so that Snakemake judges the job anew once the split is made anew.
        split=ancient("results/split/split.parquet"),
    output:
        volume="results/enhance/{condition}/{emdb_id}.mrc",
        record="results/enhance/{condition}/{emdb_id}.json",
        table="results/enhance/{condition}/{emdb_id}.parquet",
    log:
        "logs/enhance/{condition}/{emdb_id}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=120,
    params:
        config=CONFIG_FILE,
        map=map_of,
        model=model_of,
        map_sum=map_sum_of,
        model_sum=sum_of,
        resolution=resolution_of,
        settings=settings_of("enhancement.window", "enhancement.margin"),
        code=code_of("enhancement", "preparation", "network", "volume"),
    shell:
        "cryosamu evaluate method {wildcards.condition} {params.map} --model {params.model}"
        " --resolution {params.resolution} --checkpoint {input.checkpoint}"
        " --emdb-id {wildcards.emdb_id} --config {params.config}"
        " --table {output.table} -o {output.volume} 2> {log}"


# The record alone is an output: a program that is not there, or fails, leaves no map and is a result.
rule enhance_elsewhere:
    input:
        repaired=repaired_model_of,
        split=ancient("results/split/split.parquet"),
    output:
        record="results/methods/{method}/{emdb_id}.json",
        table="results/methods/{method}/{emdb_id}.parquet",
    log:
        "logs/methods/{method}/{emdb_id}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=480,
    params:
        config=CONFIG_FILE,
        map=map_of,
        model=model_of,
        map_sum=map_sum_of,
        model_sum=sum_of,
        resolution=resolution_of,
        contour=contour_option,
        volume=lambda wildcards, output: Path(output.record).with_suffix(".mrc"),
        settings=settings_of("evaluation.outside"),
        code=code_of("evaluation.methods"),
    shell:
        "cryosamu evaluate method {wildcards.method} {params.map} --model {params.model}"
        " --resolution {params.resolution} {params.contour} --emdb-id {wildcards.emdb_id}"
        " --config {params.config} --table {output.table} -o {params.volume} 2> {log}"
