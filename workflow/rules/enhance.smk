rule enhance_map:
    input:
        map="results/fetch/maps/{emdb_id}.json",
        models=fetched_model_of,
        repaired=repaired_model_of,
        # Only so that Snakemake judges the job anew once the split is made anew.
        split=ancient("results/split/split.parquet"),
        checkpoint=f"{RUN}/checkpoint.safetensors",
    output:
        volume="results/enhance/{condition}/{emdb_id}.mrc",
        record="results/enhance/{condition}/{emdb_id}.json",
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
        model_sum=sum_of,
        structure=structure_option,
        settings=settings_of("enhancement.window", "enhancement.margin"),
        code=code_of("enhancement", "preparation", "network", "volume"),
    shell:
        "cryosamu enhance {params.map} {params.structure} --checkpoint {input.checkpoint}"
        " --config {params.config} -o {output.volume} 2> {log}"
