import gemmi
import pytest
from tiny_pairs import helix, nucleotide, structure_of, sugar

from cryosamu.curation.facts import describe_model
from cryosamu.curation.filters.completeness import CompletenessFilter
from cryosamu.curation.filters.glycan_chains import GlycanChainsFilter
from cryosamu.curation.filters.model_size import ModelSizeFilter
from cryosamu.curation.filters.nucleic_acid import NucleicAcidFilter
from cryosamu.structure.model import read_model


def without(residues, numbers):
    return [one for one in residues if one.seqid.num not in numbers]


def test_counts_of_a_plain_chain():
    facts = describe_model(structure_of({"A": helix(30)}))
    assert (facts.protein_residues, facts.observed_residues, facts.nucleic_residues) == (30, 30, 0)
    assert facts.sequences == ("A" * 30,)
    assert facts.glycan_chains == ()


def test_completeness_is_over_the_deposited_sequences_of_all_chains():
    chains = {"A": without(helix(40), range(11, 21)), "B": helix(10)}
    sequences = {"A": ["ALA"] * 50, "B": ["ALA"] * 30}
    facts = describe_model(structure_of(chains, sequences), deposited_residues=999)
    assert (facts.observed_residues, facts.expected_residues) == (40, 80)
    assert facts.expected_from == "deposited"
    assert facts.sequences == ("A" * 50, "A" * 30)
    assert CompletenessFilter(0.5).judge(facts).verdict == "keep"
    dropped = CompletenessFilter(0.51).judge(facts)
    assert (dropped.verdict, dropped.value, dropped.threshold) == ("drop", 0.5, 0.51)
    assert "40 of the 80" in dropped.reason


def test_without_a_deposited_sequence_the_archive_or_the_numbering_tells():
    chains = {"A": without(helix(40), range(11, 21))}
    numbered = describe_model(structure_of(chains))
    assert (numbered.expected_from, numbered.expected_residues) == ("numbering", 40)
    assert CompletenessFilter(0.7).judge(numbered).value == pytest.approx(30 / 40)
    listed = describe_model(structure_of(chains), deposited_residues=60)
    assert (listed.expected_from, listed.expected_residues) == ("catalogue", 60)


def test_insertion_codes_do_not_make_a_chain_more_than_complete():
    residues = list(helix(30))
    for place, residue in enumerate(residues):
        residue.seqid = gemmi.SeqId(1 + place // 3, " AB"[place % 3])
    facts = describe_model(structure_of({"A": residues}))
    assert facts.observed_residues == facts.expected_residues == 30


def test_a_model_of_ca_atoms_alone_has_no_backbone():
    facts = describe_model(structure_of({"A": helix(60, backbone=("CA",))}))
    decision = ModelSizeFilter(30).judge(facts)
    assert (decision.verdict, decision.value, decision.threshold) == ("drop", 0, 30)
    assert "0 of 60 residues" in decision.reason


@pytest.mark.parametrize(("residues", "verdict"), [(29, "drop"), (30, "keep")])
def test_least_residues(residues, verdict):
    facts = describe_model(structure_of({"A": helix(residues)}))
    assert ModelSizeFilter(30).judge(facts).verdict == verdict


def test_nucleic_acid_is_found_in_the_model_itself():
    strand = [nucleotide(n + 1, name) for n, name in enumerate(("G", "C", "A", "U", "G"))]
    facts = describe_model(structure_of({"A": helix(30), "R": strand}))
    decision = NucleicAcidFilter(protein_only=True).judge(facts)
    assert (decision.verdict, decision.value) == ("drop", 5)
    assert NucleicAcidFilter(protein_only=False).judge(facts).verdict == "keep"
    assert facts.protein_residues == 30


def test_a_model_of_nucleic_acid_alone_is_a_decision_not_an_error():
    strand = [nucleotide(n + 1, name) for n, name in enumerate(("DG", "DC", "DA", "DT"))]
    facts = describe_model(structure_of({"X": strand}))
    assert (facts.protein_residues, facts.nucleic_residues) == (0, 4)
    assert facts.sequences == ()
    assert NucleicAcidFilter(protein_only=True).judge(facts).verdict == "drop"
    assert ModelSizeFilter(30).judge(facts).verdict == "drop"
    empty = CompletenessFilter(0.7).judge(facts)
    assert (empty.verdict, empty.value) == ("drop", 0)


def test_glycan_chains_are_told_from_sugars_of_a_protein_chain():
    water = sugar(3)
    water.name = "HOH"
    with_ligand = structure_of({"A": [*helix(30), sugar(101)]})
    assert describe_model(with_ligand).glycan_chains == ()
    facts = describe_model(structure_of({"A": helix(30), "B": [sugar(1), sugar(2), water]}))
    assert describe_model(structure_of({"A": helix(30), "W": [water]})).glycan_chains == ()
    decision = GlycanChainsFilter(protein_only=True).judge(facts)
    assert (decision.verdict, decision.value) == ("drop", 1)
    assert "(B)" in decision.reason
    assert GlycanChainsFilter(protein_only=False).judge(facts).verdict == "keep"


def test_facts_are_the_same_from_mmcif_and_pdb_files(tmp_path):
    structure = structure_of({"A": helix(40), "B": helix(31)}, {"A": ["ALA"] * 45})
    (tmp_path / "model.cif").write_text(structure.make_mmcif_document().as_string())
    structure.write_pdb(str(tmp_path / "model.pdb"))
    for name in ("model.cif", "model.pdb"):
        facts = describe_model(read_model(tmp_path / name))
        assert (facts.protein_residues, facts.observed_residues) == (71, 71)
