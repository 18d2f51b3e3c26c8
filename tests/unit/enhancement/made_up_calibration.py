"""A calibration of the confidence that no fit made."""

from cryosamu.enhancement.trust.confidence_calibration import DEFINITION, Calibration

SHA256 = "0123456789abcdef" * 4


def calibration(**other) -> Calibration:
    """A made-up calibration: what is tested here must not depend on the fitted one."""
    coefficients = {
        "input_correlation": 3.0, "above_noise": 3.0, "skewness": 0.5, "finer_detail": -0.3,
    }  # fmt: skip
    values = {
        "definition": DEFINITION, "checkpoint_sha256": SHA256, "intercept": -4.0,
        "coefficients": coefficients, "software": {}, "data": {"maps": ["made up"]},
    }  # fmt: skip
    return Calibration.model_validate({**values, **other})
