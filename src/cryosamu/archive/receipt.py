"""What the store knows of a file that it holds, written when the file had passed all checks.

A receipt spares unpacking the file at each call: the same length and SHA-256 are the same file.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cryosamu.files import sha256_of, write_text


class Receipt(BaseModel):
    """A file's content, and where and in which state of the archive's it was got."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int
    sha256: str
    url: str
    etag: str | None = None
    last_modified: str | None = None

    def conditions(self) -> dict[str, str]:
        """Return the headers that ask for the file only if it changed since."""
        marks = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: mark for name, mark in marks.items() if mark}


def receipt_path(file: Path) -> Path:
    """Return where a file's receipt lies: STORE/archive/receipts/88/emd_3488.map.gz.json."""
    folder = file.parent
    return folder.parents[1] / "receipts" / folder.name / f"{file.name}.json"


def write_receipt(
    file: Path, url: str, etag: str | None = None, last_modified: str | None = None
) -> Receipt:
    """Write and return the receipt of a file that was found sound."""
    receipt = Receipt(
        bytes=file.stat().st_size,
        sha256=sha256_of(file),
        url=url,
        etag=etag,
        last_modified=last_modified,
    )
    write_text(receipt_path(file), receipt.model_dump_json(indent=2) + "\n")
    return receipt


def vouching_receipt(file: Path) -> Receipt | None:
    """Return the receipt of a file if it is still the very file that the receipt was written for.

    None without a file, without a readable receipt, and where length or SHA-256 differ.
    """
    try:
        receipt = Receipt.model_validate_json(receipt_path(file).read_bytes())
        same = file.stat().st_size == receipt.bytes and sha256_of(file) == receipt.sha256
    except (OSError, ValidationError):
        return None
    return receipt if same else None
