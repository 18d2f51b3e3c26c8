import pytest
from small_data_set import build, lock


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A finished data set with its lock, in the working folder."""
    monkeypatch.chdir(tmp_path)
    build(tmp_path)
    (tmp_path / "c.yaml").write_text("{}")
    lock()
    return tmp_path
