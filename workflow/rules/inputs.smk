# Which files each rule takes, from the tables that the checkpoints leave.
# Large files are followed through the small records beside them, which hold their checksums:
# Snakemake compares the contents of small files alone, and of large ones the time.


@cache
def read_rows(path, modified):
    return parquet.read_table(path).to_pylist()


def rows_of(path):
    return read_rows(str(path), os.stat(path).st_mtime_ns)


def catalogue_row(emdb_id):
    rows = rows_of(checkpoints.query_catalogue.get().output[0])
    return next(row for row in rows if row["emdb_id"] == emdb_id)


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


# One entry


def map_of(wildcards):
    return map_path(wildcards.emdb_id)


def pdb_id_of(wildcards):
    return catalogue_row(wildcards.emdb_id)["pdb_id"]


def model_of(wildcards):
    return model_path(pdb_id_of(wildcards))


def resolution_of(wildcards):
    return catalogue_row(wildcards.emdb_id)["resolution"]


def records_of(wildcards):
    return [
        f"results/fetch/maps/{wildcards.emdb_id}.json",
        f"results/fetch/models/{pdb_id_of(wildcards)}.json",
    ]


def structure_option(wildcards):
    return f"--model {model_of(wildcards)}" if wildcards.condition == "enhanced" else ""


def contour_option(wildcards):
    level = catalogue_row(wildcards.emdb_id)["contour_level"]
    return "" if level is None else f"--contour {level}"


def method_options(wildcards):
    return [
        f"--method {condition}=results/enhance/{condition}/{wildcards.emdb_id}.mrc"
        for condition in CONDITIONS
    ]


# All entries of a stage


def candidate_models(wildcards):
    kept = kept_by(checkpoints.filter_metadata.get().output[0])
    return [f"results/fetch/models/{pdb_id}.json" for _, pdb_id in kept]


def measurements(wildcards):
    kept = kept_by(checkpoints.filter_models.get().output.decisions)
    return [f"results/curate/measurements/{emdb_id}.json" for emdb_id, _ in kept]


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


def enhanced_maps(wildcards):
    return [
        f"results/enhance/enhanced/{pair['emdb_id']}.json" for pair in pairs_in("test")
    ]


def pairing_options(wildcards):
    return [
        f"--pairing {pair['emdb_id']}={map_path(pair['emdb_id'])}"
        f",results/enhance/enhanced/{pair['emdb_id']}.mrc,{model_path(pair['pdb_id'])}"
        for pair in pairs_in("test")
    ]
