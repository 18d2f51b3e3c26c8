# Which files each rule takes, from the tables that the checkpoints leave.
# Large files are followed through the small records beside them, which hold their checksums:
# Snakemake compares the contents of small files alone, and of large ones the time.


@cache
def read_rows(path, modified):
    return parquet.read_table(path).to_pylist()


def rows_of(path):
    return read_rows(str(path), os.stat(path).st_mtime_ns)


@cache
def rows_by(path, modified, column):
    return {row[column]: row for row in read_rows(path, modified)}


def row_of(path, column, value):
    return rows_by(str(path), os.stat(path).st_mtime_ns, column).get(value)


def catalogue_row(emdb_id):
    return row_of(checkpoints.query_catalogue.get().output[0], "emdb_id", emdb_id)


def kept_by(decisions):
    """The (EMDB id, PDB id) pairs that no filter of a decisions table stopped."""
    rows = rows_of(decisions)
    stopped = {row["emdb_id"] for row in rows if row["verdict"] != "keep"}
    return sorted(
        {(r["emdb_id"], r["pdb_id"]) for r in rows if r["emdb_id"] not in stopped}
    )


def pairs_in(*splits):
    rows = rows_of(checkpoints.split_pairs.get().output[0])
    return [row for row in rows if row["split"] in splits]


def map_path(emdb_id):
    return f"store/archive/maps/emd_{emdb_id.removeprefix('EMD-')}.map.gz"


def model_path(pdb_id):
    return f"store/archive/models/{pdb_id}.cif.gz"


def model_table(pdb_id):
    """The table of the list in which a model is fetched."""
    number = list_of(pdb_id, SETTINGS.archive.model_lists)
    return f"results/fetch/models/{number}.parquet"


def fetched_model(pdb_id):
    """That table, once all are there. Its other rows may change: a job follows its model's sum."""
    checkpoints.filter_models.get()
    return ancient(model_table(pdb_id))


def sum_of_model(pdb_id):
    checkpoints.filter_models.get()
    row = row_of(model_table(pdb_id), "id", pdb_id)
    return row["sha256"] if row else None


# One entry


def map_of(wildcards):
    return map_path(wildcards.emdb_id)


def pdb_id_of(wildcards):
    return catalogue_row(wildcards.emdb_id)["pdb_id"]


def fetched_model_of(wildcards):
    return fetched_model(pdb_id_of(wildcards))


def sum_of(wildcards):
    return sum_of_model(pdb_id_of(wildcards))


def pair_of(wildcards):
    return row_of(checkpoints.split_pairs.get().output[0], "emdb_id", wildcards.emdb_id)


def model_of_pair(pair):
    """The model as deposited, or moved to where it fits its map."""
    if pair["repaired"]:
        return f"results/curate/repaired/{pair['emdb_id']}.cif.gz"
    return model_path(pair["pdb_id"])


def model_of(wildcards):
    return model_of_pair(pair_of(wildcards))


def repaired_model_of(wildcards):
    return model_of(wildcards) if pair_of(wildcards)["repaired"] else []


def resolution_of(wildcards):
    return catalogue_row(wildcards.emdb_id)["resolution"]


def contour_option(wildcards):
    level = catalogue_row(wildcards.emdb_id)["contour_level"]
    return "" if level is None else f"--contour {level}"


def method_options(wildcards, input):
    return [f"--method {Path(record).parent.name}={record}" for record in input.made]


def predicted_model_of(wildcards):
    pattern = SETTINGS.evaluation.predicted_models
    wanted = wildcards.condition == "enhanced_predicted"
    return pattern.format(emdb_id=wildcards.emdb_id) if wanted else []


# All entries of a stage


def model_tables(wildcards):
    # Behind the checkpoint: a list that has not changed is then not fetched again.
    checkpoints.filter_metadata.get()
    return expand("results/fetch/models/{list}.parquet", list=MODEL_LISTS)


def measurements(wildcards):
    kept = kept_by(checkpoints.filter_models.get().output.decisions)
    return [f"results/curate/measurements/{emdb_id}.json" for emdb_id, _ in kept]


def measurements_of_pairs(wildcards):
    pairs = pairs_in("train", "validation", "test")
    return [f"results/curate/measurements/{pair['emdb_id']}.json" for pair in pairs]


def map_records_of_pairs(wildcards):
    pairs = pairs_in("train", "validation", "test")
    return [f"results/fetch/maps/{pair['emdb_id']}.json" for pair in pairs]


def prepared_pairs(wildcards):
    pairs = pairs_in("train", "validation")
    return [f"results/prepare/{pair['emdb_id']}.json" for pair in pairs]


def tokens_of(*splits):
    return lambda wildcards: [
        f"results/embed/{pair['pdb_id']}.safetensors" for pair in pairs_in(*splits)
    ]


def evaluation_tables(wildcards):
    return [f"results/evaluate/{pair['emdb_id']}.parquet" for pair in pairs_in("test")]


def evaluation_curves(wildcards):
    return [
        f"results/evaluate/{pair['emdb_id']}.curves.parquet"
        for pair in pairs_in("test")
    ]


def residue_tables(wildcards):
    return [
        f"results/evaluate/{pair['emdb_id']}.residues.parquet"
        for pair in pairs_in("test")
    ]


def control_tables(wildcards):
    return [
        f"results/evaluate/{pair['emdb_id']}.controls.parquet"
        for pair in pairs_in("test")
    ]


def method_tables(wildcards):
    made = [f"enhance/{condition}" for condition in CONDITIONS]
    made += [f"methods/{method}" for method in OTHERS]
    return [
        f"results/{folder}/{pair['emdb_id']}.parquet"
        for folder in made
        for pair in pairs_in("test")
    ]


def enhanced_maps(wildcards):
    return [
        f"results/enhance/enhanced/{pair['emdb_id']}.json" for pair in pairs_in("test")
    ]


def pairing_options(wildcards):
    return [
        f"--pairing {pair['emdb_id']}={map_path(pair['emdb_id'])}"
        f",results/enhance/enhanced/{pair['emdb_id']}.mrc,{model_of_pair(pair)}"
        for pair in pairs_in("test")
    ]
