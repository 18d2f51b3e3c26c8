rule evaluate_map:
    input:
        map="results/fetch/maps/{emdb_id}.json",
        models=fetched_model_of,
        repaired=repaired_model_of,
        # Only so that Snakemake judges the job anew once the split is made anew.
        split=ancient("results/split/split.parquet"),
        enhanced=expand(
            "results/enhance/{condition}/{emdb_id}.json",
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
        model_sum=sum_of,
        model=model_of,
        pdb_id=pdb_id_of,
        resolution=resolution_of,
        contour=contour_option,
        methods=method_options,
        settings=settings_of("evaluation"),
        code=code_of("evaluation", "volume"),
    shell:
        "cryosamu evaluate {params.map} {params.model} --resolution {params.resolution}"
        " --emdb-id {wildcards.emdb_id} --pdb-id {params.pdb_id} {params.contour} {params.methods}"
        " --config {params.config} --table {output.table} --curves {output.curves} &> {log}"


rule compare_methods:
    input:
        split="results/split/split.parquet",
        tables=evaluation_tables,
    output:
        report(
            "results/evaluate/summary.parquet",
            caption="../report/summary.rst",
            category="CryoSAMU",
        ),
    log:
        "logs/evaluate/compare_methods.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_of("evaluation.statistics"),
    shell:
        "cryosamu evaluate summary {input.tables} --pairs {input.split} -o {output} 2> {log}"
