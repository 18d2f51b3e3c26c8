"""Networks: the published reference and the compact, tile-consistent one."""

from cryosamu.network.build import build_network
from cryosamu.network.interface import EnhancementNetwork

__all__ = ["EnhancementNetwork", "build_network"]
