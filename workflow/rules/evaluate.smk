CONDITIONS = [
    method for method in SETTINGS.evaluation.methods if method.startswith("enhanced")
]


def evaluation_tables(wildcards):
    return [f"results/evaluate/{pair['emdb_id']}.parquet" for pair in pairs_in("test")]


def method_options(wildcards, input):
    return [f"--method {name}={path}" for name, path in zip(CONDITIONS, input.enhanced)]


rule evaluate_map:
    input:
        records=records_of,
        enhanced=expand(
            "results/enhance/{condition}/{emdb_id}.mrc",
            condition=CONDITIONS,
            allow_missing=True,
        ),
    output:
        table="results/evaluate/{emdb_id}.parquet",
        curves="results/evaluate/{emdb_id}.curves.parquet",
    log:
        "logs/evaluate/{emdb_id}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=120,
    params:
        config=CONFIG_FILE,
        map=map_of,
        model=model_of,
        pdb_id=lambda wildcards: catalogue_row(wildcards.emdb_id)["pdb_id"],
        resolution=resolution_of,
        methods=method_options,
        settings=settings_of("evaluation"),
        code=code_of("evaluation", "volume"),
    shell:
        "cryosamu evaluate {params.map} {params.model} --resolution {params.resolution}"
        " --emdb-id {wildcards.emdb_id} --pdb-id {params.pdb_id} {params.methods}"
        " --config {params.config} --table {output.table} --curves {output.curves} 2> {log}"
