rule evaluate_maps:
    input:
        work="results/split/test/{shard}.jsonl",
        made=expand("results/{made}/{{shard}}.parquet", made=MADE),
        checked=ancient(CHECKED),
    output:
        table="results/evaluate/{shard}.parquet",
        curves="results/evaluate/{shard}.curves.parquet",
        residues="results/evaluate/{shard}.residues.parquet",
    log:
        "logs/evaluate/{shard}.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, threads, attempt: 6000 * threads * attempt,
        runtime=lambda wildcards, attempt: 480 * attempt,
        disk_mb=4000,
    params:
        config=CONFIG_FILE,
        # Not an output: what was evaluated before a job fails is kept.
        maps="results/evaluate/maps",
        methods=[f"--method {Path(made).name}=results/{made}/maps" for made in MADE],
        settings=settings_of("evaluation"),
        code=stage_digest("evaluate"),
    shell:
        "cryosamu evaluate map --work {input.work} --workers {threads} {params.methods}"
        " --config {params.config} --members {params.maps} --table {output.table}"
        " --curves {output.curves} --per-residue {output.residues} &> {log}"


rule compare_methods:
    input:
        split="results/split/split.parquet",
        tables=expand("results/evaluate/{shard}.parquet", shard=SHARDS),
        checked=ancient(CHECKED),
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
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=30,
        disk_mb=1000,
    params:
        code=code_of("evaluation.statistics"),
    shell:
        "cryosamu evaluate summary {input.tables} --pairs {input.split} -o {output} 2> {log}"


rule control_maps:
    input:
        work="results/split/test/{shard}.jsonl",
        checkpoint=f"{RUN}/checkpoint.safetensors",
        checked=ancient(CHECKED),
    output:
        "results/evaluate/{shard}.controls.parquet",
    log:
        "logs/evaluate/{shard}.controls.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 2
    resources:
        **gpus_for("enhancement"),
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 960 * attempt,
        disk_mb=2000,
    params:
        config=CONFIG_FILE,
        maps="results/evaluate/maps",
        settings=settings_of(
            "enhancement.window",
            "enhancement.margin",
            "enhancement.precision",
            "enhancement.skip_solvent",
            "enhancement.averaging",
        ),
        code=stage_digest("controls"),
    shell:
        "cryosamu evaluate controls --work {input.work} --checkpoint {input.checkpoint}"
        " --config {params.config} --members {params.maps} -o {output} &> {log}"


rule compare_with_training:
    input:
        split="results/split/split.parquet",
        tables=expand("results/evaluate/{shard}.parquet", shard=SHARDS),
        # What else it has learnt from is said in the log.
        checkpoint=f"{RUN}/checkpoint.safetensors",
        checked=ancient(CHECKED),
    output:
        "results/evaluate/leakage.parquet",
    log:
        "logs/evaluate/compare_with_training.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        disk_mb=4000,
    params:
        config=CONFIG_FILE,
        tables=lambda wildcards, input: repeated("--evaluation", input.tables),
        settings=settings_of("curation.clustering"),
        code=code_of("evaluation.leakage", "curation.similarity", "curation.mmseqs"),
    shell:
        "cryosamu evaluate leakage --split {input.split} --models store/archive/models"
        " --checkpoint {input.checkpoint} {params.tables} --threads {threads}"
        " --config {params.config} -o {output} &> {log}"
