"""One small class a filter; here they are in the order in which they ask, cheapest first."""

from __future__ import annotations

from cryosamu.config import CurationSettings
from cryosamu.curation.entry import Entry
from cryosamu.curation.facts import ModelFacts
from cryosamu.curation.filter import Filter
from cryosamu.curation.filters.alignment import AlignmentFilter
from cryosamu.curation.filters.completeness import CompletenessFilter
from cryosamu.curation.filters.correlation import CorrelationFilter
from cryosamu.curation.filters.exclusion import ExclusionFilter
from cryosamu.curation.filters.fitted_model import FittedModelFilter
from cryosamu.curation.filters.glycan_chains import GlycanChainsFilter
from cryosamu.curation.filters.inside import InsideFilter
from cryosamu.curation.filters.map_size import MapSizeFilter
from cryosamu.curation.filters.method import MethodFilter
from cryosamu.curation.filters.model_size import ModelSizeFilter
from cryosamu.curation.filters.nucleic_acid import NucleicAcidFilter
from cryosamu.curation.filters.polymers import PolymersFilter
from cryosamu.curation.filters.resolution import ResolutionFilter
from cryosamu.curation.measurement import Measurement


def metadata_filters(
    settings: CurationSettings, maximum_gigabytes: float
) -> tuple[Filter[Entry], ...]:
    """Return the filters that ask the catalogue."""
    return (
        ExclusionFilter(),
        MethodFilter(settings.methods),
        ResolutionFilter(settings.resolution),
        PolymersFilter(settings.composition.protein_only),
        FittedModelFilter(),
        MapSizeFilter(maximum_gigabytes),
    )


def model_filters(settings: CurationSettings) -> tuple[Filter[ModelFacts], ...]:
    """Return the filters that ask the model."""
    return (
        NucleicAcidFilter(settings.composition.protein_only),
        GlycanChainsFilter(settings.composition.protein_only),
        ModelSizeFilter(settings.composition.minimum_residues),
        CompletenessFilter(settings.completeness.minimum),
    )


def map_filters(settings: CurationSettings) -> tuple[Filter[Measurement], ...]:
    """Return the filters that ask the measurement of map against model.

    Alignment comes before the model's place in the box: a shifted model often sticks out, and the
    motion that would repair it says more. Where it is repaired, the other two judge that pose.
    """
    alignment = AlignmentFilter(settings.alignment)
    return (
        alignment,
        InsideFilter(settings.alignment.minimum_inside, alignment),
        CorrelationFilter(settings.correlation, alignment),
    )
