rule evaluate_map:
    input:
        repaired=repaired_model_of,
        # Only so that Snakemake judges the job anew once the split is made anew.
        split=ancient("results/split/split.parquet"),
        made=expand(
            "results/enhance/{condition}/{emdb_id}.json",
            condition=CONDITIONS,
            allow_missing=True,
        )
        + expand(
            "results/methods/{method}/{emdb_id}.json",
            method=OTHERS,
            allow_missing=True,
        ),
    output:
        table="results/evaluate/{emdb_id}.parquet",
        curves="results/evaluate/{emdb_id}.curves.parquet",
        residues="results/evaluate/{emdb_id}.residues.parquet",
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
        map_sum=map_sum_of,
        model_sum=sum_of,
        model=model_of,
        pdb_id=pdb_id_of,
        resolution=resolution_of,
        contour=contour_option,
        methods=method_options,
        settings=settings_of("evaluation"),
        code=code_of("evaluation", "volume"),
    shell:
        "cryosamu evaluate map {params.map} {params.model} --resolution {params.resolution}"
        " --emdb-id {wildcards.emdb_id} --pdb-id {params.pdb_id} {params.contour} {params.methods}"
        " --config {params.config} --table {output.table} --curves {output.curves}"
        " --per-residue {output.residues} &> {log}"


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


rule control_map:
    input:
        repaired=repaired_model_of,
        checkpoint=f"{RUN}/checkpoint.safetensors",
        split=ancient("results/split/split.parquet"),
    output:
        "results/evaluate/{emdb_id}.controls.parquet",
    log:
        "logs/evaluate/{emdb_id}.controls.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=240,
    params:
        config=CONFIG_FILE,
        map=map_of,
        model=model_of,
        map_sum=map_sum_of,
        model_sum=sum_of,
        pdb_id=pdb_id_of,
        resolution=resolution_of,
        contour=contour_option,
        settings=settings_of("enhancement.window", "enhancement.margin"),
        code=code_of("evaluation.controls", "enhancement", "network", "volume"),
    shell:
        "cryosamu evaluate controls {params.map} {params.model}"
        " --resolution {params.resolution} {params.contour} --checkpoint {input.checkpoint}"
        " --emdb-id {wildcards.emdb_id} --pdb-id {params.pdb_id} --config {params.config}"
        " -o {output} &> {log}"


rule compare_with_training:
    input:
        split="results/split/split.parquet",
        tables=evaluation_tables,
    output:
        "results/evaluate/leakage.parquet",
    log:
        "logs/evaluate/compare_with_training.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=CONFIG_FILE,
        tables=lambda wildcards, input: repeated("--evaluation", input.tables),
        settings=settings_of("curation.clustering"),
        code=code_of("evaluation.leakage", "curation.similarity", "curation.mmseqs"),
    shell:
        "cryosamu evaluate leakage --split {input.split} --models store/archive/models"
        " {params.tables} --threads {threads} --config {params.config} -o {output} &> {log}"
