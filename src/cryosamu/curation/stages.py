"""The stages of curation: metadata, models, maps. Each adds its decisions about every candidate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from cryosamu.archive.record import FetchRecord
from cryosamu.config import CurationSettings
from cryosamu.curation.clustering import Membership, cluster_entries
from cryosamu.curation.entry import Entry, emdb_number
from cryosamu.curation.facts import ModelFacts, describe_model
from cryosamu.curation.failure import Failure, attempt, fetched_path
from cryosamu.curation.filter import Decision, Evidence, Filter
from cryosamu.curation.filters import map_filters, metadata_filters, model_filters
from cryosamu.curation.filters.alignment import AlignmentFilter
from cryosamu.curation.filters.redundancy import (
    Finalist,
    RedundancyFilter,
    RepresentativeFilter,
    Standing,
)
from cryosamu.curation.measurement import FailedMeasurement, Measurement
from cryosamu.errors import ArchiveError, CryosamuError
from cryosamu.structure.model import read_model
from cryosamu.tables import CLUSTERS, DECISIONS, PAIRS
from cryosamu.workers import in_processes


@dataclass
class Ledger:
    """Decisions about entries in the order in which they were made."""

    rows: list[dict[str, object]] = field(default_factory=list)

    def note(self, entry: Entry, name: str, decision: Decision) -> bool:
        """Write a decision down and return whether the entry goes on."""
        key = {"emdb_id": entry.emdb_id, "pdb_id": entry.pdb_id, "filter": name}
        self.rows.append(key | vars(decision))
        return decision.verdict == "keep"

    def judge(self, entry: Entry, candidate: Evidence, filters: Iterable[Filter[Evidence]]) -> bool:
        """Ask the filters in turn, up to the first that does not keep the candidate."""
        return all(self.note(entry, one.name, one.judge(candidate)) for one in filters)

    def gather(
        self, entry: Entry, name: str, reason: str, evidence: Evidence | Failure
    ) -> Evidence | None:
        """Return the evidence and note a keep with `reason`, or note why there is none."""
        if isinstance(evidence, Failure):
            self.note(entry, name, Decision("fail", None, None, evidence.sentence))
            return None
        self.note(entry, name, Decision("keep", None, None, reason))
        return evidence

    def table(self) -> pd.DataFrame:
        """Return a DECISIONS table."""
        return pd.DataFrame(self.rows, columns=DECISIONS.names)


def survivors(entries: Mapping[str, Entry], decisions: pd.DataFrame) -> dict[str, Entry]:
    """Return the entries that have decisions, none of which stopped them.

    Raises
    ------
    CryosamuError
        When a decision is about an entry that the catalogue does not list.
    """
    stopped = set(decisions["emdb_id"][decisions["verdict"] != "keep"])
    known = set(decisions["emdb_id"])
    if strange := known - set(entries):
        raise CryosamuError(
            f"the decisions are about {min(strange)}, which the catalogue does not list; "
            "make them from this catalogue."
        )
    passed = known - stopped
    return {key: entry for key, entry in entries.items() if key in passed}


def judge_metadata(
    entries: Mapping[str, Entry], settings: CurationSettings, maximum_gigabytes: float
) -> pd.DataFrame:
    """Return the decisions that the catalogue alone allows."""
    ledger = Ledger()
    filters = metadata_filters(settings, maximum_gigabytes)
    for entry in entries.values():
        ledger.judge(entry, entry, filters)
    return ledger.table()


def judge_models(
    entries: Mapping[str, Entry],
    records: Mapping[str, FetchRecord],
    settings: CurationSettings,
    threads: int = 1,
    folder: Path | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Look into the models of entries and keep the best resolved of each connected component.

    Parameters
    ----------
    entries
        Those that the metadata let through.
    records
        PDB id to what became of its download.
    threads
        Models read at a time, and threads of the clustering; they do not change the result.
    folder
        Where the clustering writes its temporary files.

    Returns
    -------
    decisions, clusters
        A DECISIONS and a CLUSTERS table.
    """
    ledger = Ledger()
    filters = model_filters(settings)
    passed: dict[str, ModelFacts] = {}
    described = in_processes(
        _describe, [(entry, records.get(entry.pdb_id or "")) for entry in entries.values()], threads
    )
    bar = tqdm(described, desc="models", total=len(entries), unit="model", disable=None)
    for entry, evidence in zip(entries.values(), bar, strict=True):
        facts = ledger.gather(entry, "model_file", "Its model was fetched and read.", evidence)
        if facts is not None and ledger.judge(entry, facts, filters):
            passed[entry.emdb_id] = facts
    members = cluster_entries(
        {key: facts.sequences for key, facts in passed.items()},
        {key: entries[key].resolution or float("inf") for key in passed},
        settings.clustering,
        threads,
        folder,
    )
    redundancy = RedundancyFilter(settings.clustering.identity, settings.clustering.candidates)
    ranks = _ranks({key: member.cluster for key, member in members.items()}, entries)
    for key, member in members.items():
        ledger.judge(entries[key], Standing(member, ranks[key]), [redundancy])
    return ledger.table(), _clusters_table(members.values())


def _describe(work: tuple[Entry, FetchRecord | None]) -> ModelFacts | Failure:
    return attempt(partial(_facts_of, *work))


def _facts_of(entry: Entry, record: FetchRecord | None) -> ModelFacts:
    if record is None:
        raise ArchiveError(f"There is no record of a download of its model, {entry.pdb_id}.")
    return describe_model(read_model(fetched_path(record)), entry.deposited_residues)


def _ranks(clusters: Mapping[str, str], entries: Mapping[str, Entry]) -> dict[str, int]:
    """Return each entry's place in its component by resolution, from 1."""
    taken: Counter[str] = Counter()
    ranks = {}
    for key in sorted(clusters, key=lambda one: _quality(entries[one])):
        taken[clusters[key]] += 1
        ranks[key] = taken[clusters[key]]
    return ranks


def _quality(entry: Entry) -> tuple[float, int]:
    """Return what sorts entries: the better resolved first, the older among equals."""
    return entry.resolution or float("inf"), emdb_number(entry.emdb_id)


def _clusters_table(members: Iterable[Membership]) -> pd.DataFrame:
    return pd.DataFrame([vars(member) for member in members], columns=CLUSTERS.names)


def judge_maps(
    entries: Mapping[str, Entry],
    measurements: Mapping[str, Measurement | FailedMeasurement],
    clusters: Mapping[str, str],
    settings: CurationSettings,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold the measurements of pairs against the thresholds.

    Parameters
    ----------
    entries
        Those that metadata and models let through.
    measurements
        EMDB id to the measurement of its pair.
    clusters
        EMDB id to the name of its connected component.

    Returns
    -------
    decisions, pairs
        A DECISIONS table of this stage and the PAIRS that are left.
    """
    ledger = Ledger()
    filters, alignment = map_filters(settings), AlignmentFilter(settings.alignment)
    passed: dict[str, dict[str, object]] = {}
    for entry in entries.values():
        evidence = attempt(partial(_measurement_of, entry, measurements))
        told = "Its map was fetched and measured against its model."
        measured = ledger.gather(entry, "measurement", told, evidence)
        if measured is not None and ledger.judge(entry, measured, filters):
            passed[entry.emdb_id] = {
                "emdb_id": entry.emdb_id,
                "pdb_id": entry.pdb_id,
                "resolution": entry.resolution,
                "contour_level": entry.contour_level,
                "cluster": clusters[entry.emdb_id],
                "correlation": alignment.numbers(measured).correlation(settings.correlation.kind),
                "simulated": entry.simulated,
                "repaired": alignment.repairs(measured),
            }
    kept = _representatives(ledger, {key: entries[key] for key in passed}, clusters, set(entries))
    pairs = [row for key, row in passed.items() if key in kept]
    return ledger.table(), pd.DataFrame(pairs, columns=PAIRS.names)


def _representatives(
    ledger: Ledger, passed: Mapping[str, Entry], clusters: Mapping[str, str], measured: set[str]
) -> set[str]:
    """Return the best-resolved entry of each component; where there was a choice, note it."""
    sizes = Counter(clusters[key] for key in measured)
    best: dict[str, str] = {}
    for key in sorted(passed, key=lambda one: _quality(passed[one])):
        best.setdefault(clusters[key], key)
    for key, entry in passed.items():
        if sizes[clusters[key]] > 1:
            finalist = Finalist(key, best[clusters[key]])
            ledger.judge(entry, finalist, [RepresentativeFilter()])
    return set(best.values())


def _measurement_of(
    entry: Entry, measurements: Mapping[str, Measurement | FailedMeasurement]
) -> Measurement:
    measured = measurements.get(entry.emdb_id)
    if measured is None:
        raise CryosamuError("There is no measurement of its map against its model.")
    if isinstance(measured, FailedMeasurement):
        raise CryosamuError(measured.error)
    if measured.pdb_id != entry.pdb_id:
        raise CryosamuError(f"It was measured against {measured.pdb_id}, not {entry.pdb_id}.")
    return measured
