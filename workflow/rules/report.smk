def evaluated_maps(wildcards):
    pairs = pairs_in("test")
    return expand(
        "results/enhance/enhanced/{emdb_id}.mrc",
        emdb_id=[pair["emdb_id"] for pair in pairs],
    )


def evaluation_curves(wildcards):
    return [
        f"results/evaluate/{pair['emdb_id']}.curves.parquet"
        for pair in pairs_in("test")
    ]


def pairing_options(wildcards):
    return [
        f"--pairing {pair['emdb_id']}=store/archive/maps/emd_{pair['emdb_id'].removeprefix('EMD-')}"
        f".map.gz,results/enhance/enhanced/{pair['emdb_id']}.mrc,"
        f"store/archive/models/{pair['pdb_id']}.cif.gz"
        for pair in pairs_in("test")
    ]


def repeated(option, paths):
    return [f"{option} {path}" for path in paths]


rule write_report:
    input:
        catalogue="results/catalogue/catalogue.parquet",
        decisions="results/curate/decisions.parquet",
        split="results/split/split.parquet",
        checkpoint=f"{RUN}/checkpoint.safetensors",
        history=f"{RUN}/history.parquet",
        tables=evaluation_tables,
        curves=evaluation_curves,
        enhanced=evaluated_maps,
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
        pairings=pairing_options,
        settings=settings_of("report", "curation", "training"),
        code=code_of("report"),
    shell:
        "cryosamu report --catalogue {input.catalogue} --decisions {input.decisions}"
        " --split {input.split} --checkpoint {input.checkpoint} --history {input.history}"
        " {params.tables} {params.curves} {params.pairings} --config {params.config}"
        " -o {output} 2> {log}"
