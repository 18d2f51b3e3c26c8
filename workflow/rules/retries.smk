# What the archives refused is asked for again in every run, by a count that is a parameter of the
# fetch: it rises when a run begins while the last answer was a refusal.
from collections import Counter

RETRIES_FILE = "results/fetch/asked_again.json"


def refused():
    """The shards of models and of maps with a refusal in what was fetched last."""
    for name in expand("{kind}/{shard}", kind=("models", "maps"), shard=CANDIDATES):
        path = Path(f"results/fetch/{name}.parquet")
        if not path.is_file():
            continue
        try:
            statuses = parquet.read_table(path, columns=["status"])[
                "status"
            ].to_pylist()
        except (OSError, ValueError, KeyError):
            raise WorkflowError(
                f"{path}: is damaged, or no table of fetches; delete it and make it anew by "
                f"--forcerun {path}."
            ) from None
        if "failed" in statuses:
            yield name


def read_retries():
    path = Path(RETRIES_FILE)
    try:
        counts = json.loads(path.read_text()) if path.is_file() else {}
        if all(isinstance(count, int) for count in counts.values()):
            return Counter(counts)
    except (OSError, ValueError, AttributeError):
        pass
    raise WorkflowError(f"{path}: is damaged; delete it, and all counts begin anew.")


RETRIES = read_retries()
# Jobs read the count that the main process leaves for them when it starts.
if workflow.is_main_process and SETTINGS.archive.retry_failed:
    RETRIES.update(refused())


def times_asked_again(name):
    return RETRIES[name]


onstart:
    if RETRIES:
        write_text(RETRIES_FILE, json.dumps(RETRIES, indent=2, sort_keys=True))
