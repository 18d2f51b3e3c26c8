"""From predictors to a calibrated confidence: a logistic function of which each sign is fixed."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cryosamu.enhancement.trust.confidence_evidence import NAMES, WINDOW
from cryosamu.errors import CheckpointError
from cryosamu.files import write_text
from cryosamu.volume.volume import FloatArray

DEFINITION = (
    "expected local correlation, 0 to 1, of the enhanced map low-passed to the resolution with the "
    f"map calculated from a right model at it, in a Gaussian of FWHM {WINDOW:g} resolutions"
)
_SIGNS = dict(zip(NAMES, (1, 1, 1, -1), strict=True))
_SMALLEST = 1e-6
_RIDGE = 1e-3
"""Weight of the squared coefficients (of standardised predictors) beside the mean log-loss."""

Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Coefficients(BaseModel):
    """What each predictor adds to the log-odds; a monotone function, so signs are fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_correlation: Positive
    above_noise: Positive
    skewness: Positive
    finer_detail: Annotated[float, Field(le=0, allow_inf_nan=False)]


class Calibration(BaseModel):
    """A fitted confidence and what it was fitted on.

    Attributes
    ----------
    checkpoint_sha256
        Of the checkpoint whose enhanced maps it was fitted on.
    data
        The maps it was fitted on, and how; for the reader.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Annotated[int, Field(ge=1, le=1)] = 1
    definition: str
    checkpoint_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    intercept: Annotated[float, Field(allow_inf_nan=False)]
    coefficients: Coefficients
    software: dict[str, str]
    data: dict[str, Any]

    def confidence(self, values: FloatArray) -> FloatArray:
        """Return the confidence, [...], of predictors [4, ...] in the order of `NAMES`."""
        slopes = [getattr(self.coefficients, name) for name in NAMES]
        odds = self.intercept + np.tensordot(np.array(slopes, np.float32), values, axes=(0, 0))
        return np.asarray(1 / (1 + np.exp(-np.clip(odds, -50, 50))), np.float32)


def packaged_calibration() -> Path:
    """Return the path of the calibration that lies beside the packaged checkpoint."""
    return Path(str(files("cryosamu.enhancement"))) / "weights" / "confidence.json"


def read_calibration(path: Path | str | None = None) -> Calibration:
    """Read a calibration, the packaged one where None.

    Raises
    ------
    CheckpointError
        When it is not there, damaged, or of another definition of confidence than this version's.
    """
    path = packaged_calibration() if path is None else Path(path)
    try:
        found = Calibration.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"{path}: this calibration of the confidence cannot be read ({error.strerror}); "
            "install CryoSAMU again."
        ) from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "file"
        raise CheckpointError(
            f"{path}: is no calibration of the confidence ('{place}': {fault['msg'].lower()}); "
            "install CryoSAMU again."
        ) from error
    if found.definition != DEFINITION:
        raise CheckpointError(
            f"{path}: was fitted to another definition of confidence; use the version of CryoSAMU "
            "that wrote it."
        )
    return found


def write_calibration(path: Path | str, calibration: Calibration) -> None:
    """Write a calibration; the same content gives the same bytes."""
    write_text(path, calibration.model_dump_json(indent=2) + "\n")


def fit_coefficients(
    values: FloatArray, truth: NDArray[np.floating], weights: NDArray[np.floating]
) -> tuple[float, Coefficients]:
    """Fit intercept and coefficients to local correlations by weighted cross-entropy.

    Parameters
    ----------
    values
        [4, voxels], predictors in the order of `NAMES`.
    truth
        [voxels], local correlation with the model's map; below 0 counts as 0.
    weights
        [voxels], of no particular scale.
    """
    from scipy.optimize import minimize

    share = np.asarray(weights, np.float64) / np.sum(weights, dtype=np.float64)
    mean = values @ share
    spread = np.sqrt(((values - mean[:, None]) ** 2) @ share) + _SMALLEST
    standard = (values - mean[:, None]) / spread[:, None]
    target = np.clip(truth, 0, 1).astype(np.float64)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slopes = parameters[1:]
        odds = parameters[0] + slopes @ standard
        error = share * (1 / (1 + np.exp(-odds)) - target)
        value = share @ (np.logaddexp(0, odds) - target * odds) + _RIDGE * slopes @ slopes
        gradient = np.concatenate([[error.sum()], standard @ error + 2 * _RIDGE * slopes])
        return float(value), gradient

    bounds = [(None, None), *((0, None) if _SIGNS[name] > 0 else (None, 0) for name in NAMES)]
    found = minimize(loss, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds).x
    slopes = found[1:] / spread
    fitted = {name: round(float(slope), 6) for name, slope in zip(NAMES, slopes, strict=True)}
    return round(float(found[0] - slopes @ mean), 6), Coefficients(**fitted)
