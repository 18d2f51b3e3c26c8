"""Lists of models: none ever moves, all are there once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryosamu.archive.lists import list_of, read_list, write_lists
from cryosamu.errors import CryosamuError

CRC_5NI1 = 3973088051
PDB_IDS = st.sets(st.from_regex(r"[1-9][A-Z0-9]{3}", fullmatch=True), max_size=40)


def test_the_list_of_a_model_is_its_crc_modulo_the_number_of_lists() -> None:
    # CRC-32 of "5NI1", from `printf 5NI1 | gzip -c | tail -c8 | head -c4 | od -tu4`.
    assert list_of("5ni1", 32) == CRC_5NI1 % 32
    assert list_of("5NI1", 7) == CRC_5NI1 % 7


@given(PDB_IDS, st.sets(st.from_regex(r"[1-9][A-Z0-9]{3}", fullmatch=True), max_size=5))
def test_growth_only_adds_lines(
    tmp_path_factory: pytest.TempPathFactory, first: set[str], late: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    write_lists(folder, first, 4)
    before = [read_list(folder / f"{number}.txt") for number in range(4)]
    assert sorted(member for members in before for member in members) == sorted(first)
    write_lists(folder, first | late, 4)
    for number, members in enumerate(before):
        now = read_list(folder / f"{number}.txt")
        assert set(members) <= set(now)
        assert set(now) - set(members) <= late


def test_a_line_that_is_no_id_is_named(tmp_path: Path) -> None:
    path = tmp_path / "0.txt"
    path.write_text("5NI1\n\n<html>\n")
    with pytest.raises(CryosamuError, match="<html>"):
        read_list(path)
