rule write_report:
    input:
        catalogue="results/catalogue/catalogue.parquet",
        decisions="results/curate/decisions.parquet",
        split="results/split/split.parquet",
        checkpoint=f"{RUN}/checkpoint.safetensors",
        history=f"{RUN}/history.parquet",
        summary="results/evaluate/summary.parquet",
        leakage="results/evaluate/leakage.parquet",
        controls=control_tables,
        residues=residue_tables,
        methods=method_tables,
        tables=evaluation_tables,
        curves=evaluation_curves,
        enhanced=enhanced_maps,
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
        mem_mb=6000,
        runtime=60,
    params:
        config=CONFIG_FILE,
        tables=lambda wildcards, input: repeated("--evaluation", input.tables),
        curves=lambda wildcards, input: repeated("--curves", input.curves),
        controls=lambda wildcards, input: repeated("--controls", input.controls),
        residues=lambda wildcards, input: repeated("--residues", input.residues),
        methods=lambda wildcards, input: repeated("--methods", input.methods),
        pairings=pairing_options,
        title=SETTINGS.report.title,
        note=SETTINGS.report.note,
        settings=settings_of("curation", "training", "report"),
        code=code_of("report"),
    shell:
        "cryosamu report --catalogue {input.catalogue} --decisions {input.decisions}"
        " --split {input.split} --checkpoint {input.checkpoint} --history {input.history}"
        " --summary {input.summary} --leakage {input.leakage} {params.controls}"
        " {params.residues} {params.methods} {params.tables} {params.curves} {params.pairings}"
        " --title {params.title:q} --note {params.note:q} --config {params.config}"
        " -o {output} 2> {log}"
