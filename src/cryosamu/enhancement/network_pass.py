"""A trained network as a function of one map, all else in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cryosamu.config import EmbeddingSettings, EnhancementSettings
from cryosamu.embedding.pooling import Pooled
from cryosamu.enhancement import whole_map
from cryosamu.enhancement.conditions import Control, another, permuted
from cryosamu.enhancement.structure import Model, embed_and_pool
from cryosamu.errors import CryosamuError, MapError
from cryosamu.network.checkpoint import CheckpointHeader
from cryosamu.network.interface import EnhancementNetwork
from cryosamu.volume.volume import Volume


@dataclass(frozen=True)
class NetworkPass:
    """A network, what it is told, and how maps go through it.

    Attributes
    ----------
    network, header
        As `load_checkpoint` returns them.
    map_name
        What the map is called in a sentence.
    resolution
        As reported, Å.
    mask
        On the map's grid, 1 inside; None finds the solvent.
    progress
        Whether a bar is shown.
    announce
        Is told beforehand what each map will take.
    tokens
        Of the structure that the network is told.
    """

    network: EnhancementNetwork
    header: CheckpointHeader
    enhancement: EnhancementSettings
    embedding: EmbeddingSettings
    map_name: str
    resolution: float | None
    mask: Volume | None = None
    progress: bool = False
    announce: Callable[[str], None] | None = None
    tokens: Pooled | None = None

    def told(self, model: Model | None, control: Control | None) -> NetworkPass:
        """Return the same network, told the model or a wrong one; the store knows files only.

        Raises
        ------
        CryosamuError
            When the model cannot be embedded as the network was trained with.
        """
        if control == "another":
            return replace(self, tokens=another(self.header, self.embedding, model))
        if model is None:
            if control is not None:
                raise CryosamuError(
                    "--control permuted: needs the --model whose embedding it shuffles."
                )
            return self
        found = embed_and_pool(model, self.header, self.embedding)
        return replace(self, tokens=found if control is None else permuted(found))

    def __call__(self, volume: Volume) -> whole_map.Enhanced:
        """Return a map enhanced.

        Raises
        ------
        MapError
            Naming the map, when it cannot be.
        """
        try:
            return whole_map.enhance(
                volume,
                self.network,
                self.header,
                self.tokens.tokens if self.tokens else None,
                self.tokens.mask if self.tokens else None,
                self.enhancement,
                self.progress,
                self.resolution,
                self.mask,
                self.announce,
            )
        except MapError as error:
            raise MapError(f"{self.map_name}: {error}") from error

    def record(self) -> dict[str, Any]:
        """Return the settings that shape what comes out, as plain JSON values."""
        return {
            **self.enhancement.model_dump(mode="json", exclude={"device"}),
            "network": self.header.network.model_dump(mode="json"),
            "preparation": self.header.preparation.model_dump(mode="json"),
            "embedding": self.header.embedding.model_dump(mode="json") if self.tokens else None,
        }
