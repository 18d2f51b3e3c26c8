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


def pairs_in(*splits):
    rows = rows_of(checkpoints.split_pairs.get().output[0])
    return [row for row in rows if row["split"] in splits]


def file_of(kind, identifier):
    """The row of a fetched map or model in the table of its shard."""
    shard = shard_name(shard_of(identifier, len(CANDIDATES)), len(CANDIDATES))
    return row_of(f"results/fetch/{kind}/{shard}.parquet", "id", identifier)


def map_path(emdb_id):
    return file_of("maps", emdb_id)["path"]


def model_path(pdb_id):
    return file_of("models", pdb_id)["path"]


# One entry. The tables' other rows may change: a job follows the checksums of its own files.


def map_of(wildcards):
    checkpoints.split_pairs.get()
    return map_path(wildcards.emdb_id)


def map_sum_of(wildcards):
    checkpoints.split_pairs.get()
    return file_of("maps", wildcards.emdb_id)["sha256"]


def pdb_id_of(wildcards):
    return pair_of(wildcards)["pdb_id"]


def sum_of(wildcards):
    return file_of("models", pdb_id_of(wildcards))["sha256"]


def sum_of_model(wildcards):
    checkpoints.split_pairs.get()
    return file_of("models", wildcards.pdb_id)["sha256"]


def pair_of(wildcards):
    return row_of(checkpoints.split_pairs.get().output[0], "emdb_id", wildcards.emdb_id)


def model_of_pair(pair):
    """The model as deposited, or moved to where it fits its map."""
    if pair["repaired"]:
        folder = member_folder(Path("results/curate/repaired"), pair["emdb_id"])
        return folder / f"{pair['emdb_id']}.cif.gz"
    return model_path(pair["pdb_id"])


def model_of(wildcards):
    return model_of_pair(pair_of(wildcards))


def repaired_model_of(wildcards):
    return rules.repair_models.output if pair_of(wildcards)["repaired"] else []


def resolution_of(wildcards):
    return pair_of(wildcards)["resolution"]


def contour_option(wildcards):
    level = pair_of(wildcards)["contour_level"]
    return "" if level is None else f"--contour {level}"


def method_options(wildcards, input):
    return [f"--method {Path(record).parent.name}={record}" for record in input.made]


def predicted_model_of(wildcards):
    pattern = SETTINGS.evaluation.predicted_models
    wanted = wildcards.condition == "enhanced_predicted"
    return pattern.format(emdb_id=wildcards.emdb_id) if wanted else []


# All entries of a stage


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
