# Which files each rule takes, behind the checkpoints that write the work lists.


def model_tables(wildcards):
    # Behind the checkpoint: a shard whose work list is as it was is then not fetched again.
    checkpoints.filter_metadata.get()
    return expand("results/fetch/models/{shard}.parquet", shard=CANDIDATES)


def map_tables(wildcards):
    checkpoints.filter_models.get()
    return expand("results/fetch/maps/{shard}.parquet", shard=CANDIDATES)


def measurement_tables(wildcards):
    checkpoints.filter_models.get()
    return expand("results/curate/measurements/{shard}.parquet", shard=CANDIDATES)


def tables_of_files(wildcards, input):
    return [
        *repeated("--measurements", input.measurements),
        *repeated("--map-records", input.maps),
        *repeated("--model-fetches", input.models),
    ]


def predicted_models_of(wildcards):
    if wildcards.condition != "enhanced_predicted":
        return []
    checkpoints.deal_pairs.get()
    pairs = read_pairs(Path(f"results/split/test/{wildcards.shard}.jsonl"))
    pattern = SETTINGS.evaluation.predicted_models
    return [pattern.format(emdb_id=pair.emdb_id) for pair in pairs]
