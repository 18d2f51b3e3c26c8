rule prepare_pair:
    input:
        repaired=repaired_model_of,
        split=ancient("results/split/split.parquet"),
    output:
        voxels="results/prepare/{emdb_id}.npy",
        record="results/prepare/{emdb_id}.json",
    log:
        "logs/prepare/{emdb_id}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=60,
    params:
        config=CONFIG_FILE,
        map=map_of,
        map_sum=map_sum_of,
        model_sum=sum_of,
        model=model_of,
        resolution=resolution_of,
        settings=settings_of("preparation"),
        code=code_of("preparation", "structure", "volume"),
    shell:
        "cryosamu prepare {params.map} {params.model} --resolution {params.resolution}"
        " --config {params.config} -o {output.voxels} 2> {log}"
