# What the archives refused is asked for again in every run, by a count that is a parameter of the
# fetch: it rises when a run begins while the last answer was a refusal.
from collections import Counter

RETRIES_FILE = "results/fetch/asked_again.json"


def refused():
    """The maps, and the lists of models, with a refusal in what was fetched last."""
    for path in Path("results/fetch/maps").glob("*.json"):
        if json.loads(path.read_text())["status"] == "failed":
            yield path.stem
    for path in Path("results/fetch/models").glob("*.parquet"):
        if (
            "failed"
            in parquet.read_table(path, columns=["status"])["status"].to_pylist()
        ):
            yield path.stem


def read_retries():
    path = Path(RETRIES_FILE)
    return Counter(json.loads(path.read_text()) if path.is_file() else {})


RETRIES = read_retries()
# Jobs read the count that the main process leaves for them when it starts.
if workflow.is_main_process and SETTINGS.archive.retry_failed:
    RETRIES.update(refused())


def times_asked_again(name):
    return RETRIES[name]


onstart:
    if RETRIES:
        write_text(RETRIES_FILE, json.dumps(RETRIES, indent=2, sort_keys=True))
