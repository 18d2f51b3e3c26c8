"""The page about one enhanced map without a model, in a real browser."""

import pytest


@pytest.fixture(scope="module")
def report_file(tmp_path_factory):
    from types import SimpleNamespace

    import numpy as np

    from cryosamu.report import one_map, pictures
    from cryosamu.volume.volume import Volume

    z, y, x = np.indices((30, 30, 30))
    blob = np.exp(-((x - 15) ** 2 + (y - 12) ** 2 + (z - 15) ** 2) / 30).astype(np.float32)
    given = Volume(blob, (1.0, 1.0, 1.0))
    made = given.with_data(3 * blob**2)
    record = {
        "control": None, "half_maps": None, "structure_tokens": 0, "confidence": None,
        "keeping": None, "mass": None, "low_pass": None, "symmetry": None, "device": "cpu",
        "windows": {"count": 1, "shape": [30, 30, 30]}, "seconds": {"network": 1.0},
    }  # fmt: skip
    enhanced = SimpleNamespace(
        given=given, volume=made, structure=None, resolution=None, confidence=given, record=record,
        seen=(), checkpoint_notes=(),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("one")
    (folder / "map.mrc").write_bytes(b"map")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "SURFACE_PIXELS", 40)
        patch.setattr(pictures, "SLICE_PIXELS", 30)
        patch.setattr(one_map, "SURFACE_PIXELS", 40)
        html = one_map.map_page(enhanced, {"map": folder / "map.mrc"}, {"map": "0" * 64})
    (folder / "page.html").write_text(html)
    return folder / "page.html"


def test_both_maps_come_up_in_three_dimensions_without_a_model(opened):
    page, heard = opened
    page.locator("figure.viewer").scroll_into_view_if_needed()
    page.wait_for_selector("figure.viewer[data-state=shown]", timeout=60_000)
    assert page.locator(".stage canvas").count() == 2
    assert "Å³" in page.locator(".enclosed").inner_text()
    assert not page.locator("input.model").is_visible()
    assert page.locator(".sides .panel p").first.inner_text().startswith("Input")
    told = [line for line in heard if not line.startswith(("request: data:", "request: file:"))]
    assert told == []
