"""The calibration of the confidence: how it is fitted, kept and read."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_calibration import SHA256, calibration

from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.trust.confidence_calibration import (
    fit_coefficients,
    packaged_calibration,
    read_calibration,
    write_calibration,
)
from cryosamu.enhancement.trust.confidence_evidence import (
    NAMES,
)
from cryosamu.errors import CheckpointError
from cryosamu.files import sha256_of


def test_the_fit_finds_the_coefficients_that_made_the_data():
    random = np.random.default_rng(5)
    values = random.normal(size=(4, 5_000)).astype(np.float32)
    true = np.array([1.0, 0.5, 0.0, -1.5])
    truth = 1 / (1 + np.exp(-(0.3 + true @ values)))
    intercept, found = fit_coefficients(values, truth, np.ones(5_000))
    np.testing.assert_allclose([getattr(found, name) for name in NAMES], true, atol=0.05)
    assert intercept == pytest.approx(0.3, abs=0.02)


def test_the_fit_keeps_every_sign():
    """Data that ask for the opposite of each sign leave nothing but the mean."""
    random = np.random.default_rng(6)
    values = random.normal(size=(4, 5_000)).astype(np.float32)
    truth = 1 / (1 + np.exp(np.array([1.0, 1.0, 1.0, -1.0]) @ values))
    intercept, found = fit_coefficients(values, truth, np.ones(5_000))
    assert [abs(getattr(found, name)) for name in NAMES] == [0, 0, 0, 0]
    assert 1 / (1 + np.exp(-intercept)) == pytest.approx(truth.mean(), abs=1e-3)


def test_weights_count_as_repetition_does():
    random = np.random.default_rng(7)
    values = random.normal(size=(4, 300)).astype(np.float32)
    truth = random.random(300)
    repeated = np.concatenate([values, values[:, :100], values[:, :100]], axis=1)
    weights = np.where(np.arange(300) < 100, 3.0, 1.0)
    again = np.concatenate([truth, truth[:100], truth[:100]])
    one = fit_coefficients(values, truth, weights)
    two = fit_coefficients(repeated, again, np.ones(500))
    assert one[0] == pytest.approx(two[0], abs=1e-3)
    for name in NAMES:
        assert getattr(one[1], name) == pytest.approx(getattr(two[1], name), abs=1e-3)


def test_a_calibration_is_read_as_written(tmp_path):
    write_calibration(tmp_path / "c.json", calibration())
    assert read_calibration(tmp_path / "c.json") == calibration()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text[:50], "is no calibration"),
        (lambda text: text.replace("-0.3", "0.3"), "coefficients.finer_detail"),
        (lambda text: text.replace("3.0", "NaN", 1), "is no calibration"),
        (lambda text: text.replace(SHA256, "x"), "checkpoint_sha256"),
        (lambda text: text.replace('"intercept"', '"intercepts"'), "intercept"),
        (lambda text: text.replace("expected local", "rank"), "another definition"),
    ],
    ids=["cut", "sign", "nan", "sha", "key", "definition"],
)
def test_damaged_calibrations_are_refused_in_a_sentence(tmp_path, change, told):
    path = tmp_path / "c.json"
    write_calibration(path, calibration())
    path.write_text(change(path.read_text()))
    with pytest.raises(CheckpointError, match=told) as refused:
        read_calibration(path)
    assert str(path) in str(refused.value)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_calibration(tmp_path / "none.json")


def test_the_packaged_calibration_is_valid_and_of_the_packaged_checkpoint():
    assert packaged_calibration().is_file()
    assert read_calibration().checkpoint_sha256 == sha256_of(released_checkpoint())
