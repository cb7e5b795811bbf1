"""What the pixels give away: nuclei tell A, mean colour does not."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hccfeat.simulation.cohort import simulate_patients
from hccfeat.simulation.deliver import plan_images, render_image
from hccfeat.simulation.parameters import load_parameters

PATIENTS = 200


@pytest.fixture(scope="module")
def measured() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A > 0, mean RGB and nuclear blob features per patient, from two fields of 160 um each."""
    parameters = load_parameters("tiny", {"patients": PATIENTS, "images": 2 * PATIENTS, "width_px": 160})
    cohort = simulate_patients(parameters, 1)
    colour, blobs = np.zeros((PATIENTS, 3)), np.zeros((PATIENTS, 3))
    for image in plan_images(parameters, cohort, 1):
        field, _ = render_image(parameters, cohort, image, 1)
        colour[image.patient] += field.rgb.mean(axis=(0, 1)) / 2
        blobs[image.patient] += _blobs(field.rgb) / 2
    return cohort.aggressiveness > 0, colour, blobs


def _blobs(rgb: np.ndarray) -> np.ndarray:
    """Log median and upper quartile of the area of dark blobs, and their share of the tissue."""
    density = gaussian_filter(-np.log(np.maximum(rgb[..., 0].astype(float), 1) / 255), 0.7)
    tissue = rgb.min(axis=2) < 215
    if tissue.sum() < 500:
        return np.zeros(3)
    values = density[tissue]
    dark = (density > (np.median(values) + np.percentile(values, 99)) / 2) & tissue
    areas = np.bincount(label(dark)[0].ravel())[1:]
    areas = areas[areas > 8]
    if not areas.size:
        return np.zeros(3)
    return np.array([np.log(np.median(areas)), np.log(np.percentile(areas, 75)), areas.sum() / tissue.sum()])


def _auroc(features: np.ndarray, positive: np.ndarray) -> float:
    """Cross-validated by patient, mean over five shufflings."""
    model = make_pipeline(StandardScaler(), LogisticRegression())
    scores = []
    for seed in range(5):
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        risk = cross_val_predict(model, features, positive, cv=folds, method="predict_proba")[:, 1]
        scores.append(roc_auc_score(positive, risk))
    return float(np.mean(scores))


@pytest.mark.slow
def test_mean_colour_is_no_shortcut(measured: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    positive, colour, _ = measured
    assert 0.4 <= _auroc(colour, positive) <= 0.6


@pytest.mark.slow
def test_nuclei_in_the_pixels_tell_aggressiveness(measured: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    positive, _, blobs = measured
    assert 0.8 <= _auroc(blobs, positive) < 0.97
