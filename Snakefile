# CryoSAMU: from the archives' maps and models to an enhanced, evaluated, reported map.
# Named targets: dataset, embeddings, model, evaluation, report (the default is the report).

from snakemake.utils import min_version

min_version("9.0")


configfile: workflow.current_basedir.join("config.yaml").get_path_or_uri(secret_free=True)


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/catalogue.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/curate.smk"
include: "workflow/rules/split.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/enhance.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


localrules:
    report,
    dataset,
    embeddings,
    model,
    evaluation,


rule report:
    default_target: True
    input:
        "results/report/report.html",


rule dataset:
    input:
        "results/curate/decisions.parquet",
        "results/split/split.parquet",
        prepared_pairs,


rule embeddings:
    input:
        tokens_of("train", "validation", "test"),


rule model:
    input:
        rules.train_network.output,


rule evaluation:
    input:
        evaluation_tables,
