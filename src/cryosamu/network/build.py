"""From the settings to a network."""

from __future__ import annotations

from cryosamu.config import NetworkSettings
from cryosamu.errors import ConfigError
from cryosamu.network.compact import CompactNetwork
from cryosamu.network.interface import EnhancementNetwork
from cryosamu.network.reference import ReferenceNetwork

_HEADS = 4


def build_network(settings: NetworkSettings, embedding_width: int) -> EnhancementNetwork:
    """Return the network that the settings name, with fresh weights, in training mode.

    Parameters
    ----------
    embedding_width
        Width of the structure tokens that it will be given.

    Raises
    ------
    ConfigError
        When there are fewer than two levels or the attention's heads do not divide the channels.
    """
    if len(settings.multipliers) < 2:
        raise ConfigError("'network.multipliers' names one level; a network needs two or more.")
    deepest = settings.base_channels * settings.multipliers[-1]
    if deepest % _HEADS:
        raise ConfigError(
            f"'network.base_channels' times the last of 'network.multipliers' is {deepest}; "
            f"it must be a multiple of {_HEADS}, the number of attention heads."
        )
    size = embedding_width, settings.base_channels, settings.multipliers, settings.dropout
    if settings.name == "compact":
        return CompactNetwork(*size, settings.compact)
    return ReferenceNetwork(*size)
