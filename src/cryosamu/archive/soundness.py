"""Whether a compressed file is whole, sound and of a size that was allowed."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from cryosamu.archive.client import RefusalError

_PIECE_BYTES = 2**18


class TooLargeError(RefusalError):
    """A file beyond the configured size: asking again would not make it smaller."""

    def __init__(self, address: str, maximum_bytes: int) -> None:
        super().__init__(
            f"{address}: is larger than archive.maximum_map_gigabytes ({maximum_bytes / 1e9:g})."
        )


def check_gzip(path: Path, address: str, maximum_bytes: int) -> None:
    """Unpack a gzip file in bounded memory, against its own length and checksum.

    Parameters
    ----------
    address
        Where it came from, for the sentence.
    maximum_bytes
        The most that it may hold, unpacked.

    Raises
    ------
    RefusalError
        When it is not gzip, cut short, fails its checksum, is empty, or holds too much.
    """
    unpacked = 0
    try:
        with gzip.open(path) as stream:
            while piece := stream.read(_PIECE_BYTES):
                unpacked += len(piece)
                if unpacked > maximum_bytes:
                    raise TooLargeError(address, maximum_bytes)
    except EOFError:
        raise RefusalError(f"{address}: the gzip file is cut short.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise RefusalError(f"{address}: is not a sound gzip file ({error}).") from error
    if unpacked == 0:
        raise RefusalError(f"{address}: the file is empty.")
