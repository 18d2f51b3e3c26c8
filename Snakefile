# CryoSAMU: from the archives' maps and models to an enhanced, evaluated, reported map.
# Named targets: dataset, embeddings, model, evaluation, report (the default is the report).

from snakemake.utils import min_version

min_version("9.0")


configfile: workflow.current_basedir.join("config.yaml").get_path_or_uri(secret_free=True)


include: "workflow/rules/common.smk"
include: "workflow/rules/retries.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/curate.smk"


if LOCKED:

    include: "workflow/rules/locked.smk"

else:

    include: "workflow/rules/catalogue.smk"
    include: "workflow/rules/split.smk"
    include: "workflow/rules/lock.smk"


include: "workflow/rules/deal.smk"
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
        WORK_LISTS,
        VERIFIED_FILE if LOCKED else LOCK_FILE,
        "results/curate/funnel.svg",
        "results/report/report.html",


rule dataset:
    input:
        WORK_LISTS,
        "results/curate/decisions.parquet",
        "results/split/split.parquet",
        VERIFIED_FILE if LOCKED else LOCK_FILE,
        "results/curate/funnel.svg",
        rules.train_network.input.prepared,


rule embeddings:
    input:
        WORK_LISTS,
        expand(
            "results/embed/{part}/{shard}.safetensors",
            part=["training", "test"],
            shard=SHARDS,
        ),


rule model:
    input:
        WORK_LISTS,
        rules.train_network.output,


rule evaluation:
    input:
        WORK_LISTS,
        rules.compare_methods.input.tables,
