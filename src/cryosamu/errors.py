"""The one family of errors that a user can cause: each message is one plain sentence."""

from __future__ import annotations


class CryosamuError(Exception):
    """What is wrong, in which file, and what to do about it.

    The command line prints the message alone, without a traceback, and exits with status 1.
    """


class MapError(CryosamuError):
    """A map file that cannot be read, or whose grid this software refuses."""


class ModelError(CryosamuError):
    """An atomic model that cannot be read, or that does not fit its purpose."""


class ConfigError(CryosamuError):
    """A configuration with an unknown key, a wrong type or a value out of range."""


class ArchiveError(CryosamuError):
    """An archive that does not answer, or answers with something unexpected."""


class CheckpointError(CryosamuError):
    """A checkpoint that cannot be read, or that belongs to another configuration."""
