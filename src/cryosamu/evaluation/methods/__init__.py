"""The maps that are held side by side: baselines, floors, and what other programs make."""

from cryosamu.evaluation.methods.baselines import (
    BASELINES,
    FLOORS,
    MethodMap,
    Setting,
    density_mask,
    make_baseline,
    make_floor,
    phases_random_beyond,
    randomise_phases,
)
from cryosamu.evaluation.methods.finished import read_finished

__all__ = [
    "BASELINES",
    "FLOORS",
    "MethodMap",
    "Setting",
    "density_mask",
    "make_baseline",
    "make_floor",
    "phases_random_beyond",
    "randomise_phases",
    "read_finished",
]
