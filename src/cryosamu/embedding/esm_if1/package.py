"""Importing fair-esm's ESM-IF1 code without biotite, torch-scatter and torch-geometric.

fair-esm 2.0.0 imports all three at the top of its modules, in versions that no longer go with a
current numpy or torch. The encoder uses none of them: biotite reads structure files (gemmi does
here), torch-scatter serves a branch that ESM-IF1 never takes, and of torch-geometric there is
one base class whose work `messages.py` does. So they are stood in for while importing, and no
longer: a stand-in left behind would mislead other packages that look for the real one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

from torch import nn

from cryosamu.errors import CryosamuError


class _MessagePassing(nn.Module):
    """Stands in for the base class of fair-esm's graph convolution, which has no weights."""

    def __init__(self, aggr: str) -> None:
        super().__init__()
        self.aggr = aggr


def _stand_ins() -> dict[str, ModuleType]:
    contents: dict[str, dict[str, Any]] = {
        "torch_scatter": {"scatter": None, "scatter_add": None},
        "torch_geometric": {},
        "torch_geometric.nn": {"MessagePassing": _MessagePassing},
        "biotite": {},
        "biotite.structure": {"AtomArray": object, "filter_backbone": None, "get_chains": None},
        "biotite.structure.residues": {"get_residues": None},
        "biotite.structure.io": {"pdbx": None, "pdb": None},
        "biotite.sequence": {"ProteinSequence": object},
    }
    modules = {name: ModuleType(name) for name in contents}
    for name, attributes in contents.items():
        vars(modules[name]).update(attributes)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, modules[name])
    return modules


@contextmanager
def _standing_in() -> Iterator[None]:
    modules = _stand_ins()
    real = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(real)


@cache
def inverse_folding() -> ModuleType:
    """Return fair-esm's package `esm.inverse_folding`.

    Raises
    ------
    CryosamuError
        When `esm` is missing, or is the other package of that name.
    """
    try:
        with _standing_in():
            return importlib.import_module("esm.inverse_folding")
    except ImportError as error:
        raise CryosamuError(
            "the backend esm_if1 needs fair-esm 2.0.0, which is not installed or is hidden by the "
            "package 'esm' of the same module name; run: pip uninstall esm; pip install "
            "fair-esm==2.0.0."
        ) from error
