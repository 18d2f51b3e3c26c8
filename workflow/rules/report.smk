rule write_report:
    input:
        catalogue="results/catalogue/catalogue.parquet",
        decisions="results/curate/decisions.parquet",
        split="results/split/split.parquet",
        checkpoint=f"{RUN}/checkpoint.safetensors",
        history=f"{RUN}/history.parquet",
        summary="results/evaluate/summary.parquet",
        leakage="results/evaluate/leakage.parquet",
        work=expand("results/split/test/{shard}.jsonl", shard=SHARDS),
        tables=expand("results/evaluate/{shard}.parquet", shard=SHARDS),
        curves=expand("results/evaluate/{shard}.curves.parquet", shard=SHARDS),
        residues=expand("results/evaluate/{shard}.residues.parquet", shard=SHARDS),
        controls=expand("results/evaluate/{shard}.controls.parquet", shard=SHARDS),
        methods=expand("results/{made}/{shard}.parquet", made=MADE, shard=SHARDS),
        enhanced=expand("results/enhance/enhanced/{shard}.parquet", shard=SHARDS),
        checked=ancient(CHECKED),
    output:
        report(
            "results/report/report.html",
            caption="../report/report.rst",
            category="CryoSAMU",
        ),
    log:
        "logs/report/write_report.log",
    conda:
        "../../envs/cryosamu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        disk_mb=1000,
    params:
        config=CONFIG_FILE,
        tables=lambda wildcards, input: repeated("--evaluation", input.tables),
        curves=lambda wildcards, input: repeated("--curves", input.curves),
        controls=lambda wildcards, input: repeated("--controls", input.controls),
        residues=lambda wildcards, input: repeated("--residues", input.residues),
        methods=lambda wildcards, input: repeated("--methods", input.methods),
        work=lambda wildcards, input: repeated("--work", input.work),
        enhanced="results/enhance/enhanced/maps",
        title=SETTINGS.report.title,
        note=SETTINGS.report.note,
        settings=settings_of("curation", "training", "report"),
        code=code_of("report"),
    shell:
        "cryosamu report --catalogue {input.catalogue} --decisions {input.decisions}"
        " --split {input.split} --checkpoint {input.checkpoint} --history {input.history}"
        " --summary {input.summary} --leakage {input.leakage} {params.controls}"
        " {params.residues} {params.methods} {params.tables} {params.curves}"
        " {params.work} --enhanced {params.enhanced}"
        " --title {params.title:q} --note {params.note:q} --config {params.config}"
        " -o {output} 2> {log}"
