"""How well anybody could do who knew the truth: the ceiling for every model of a simulated cohort."""

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from hccfeat.simulation.cohort import Cohort, simulate_patients
from hccfeat.simulation.parameters import Parameters

HORIZONS = {"1y": 12.0, "2y": 24.0}
_POPULATION, _POPULATION_SEED = 100_000, 20231117


def observed_labels(cohort: Cohort, horizon_months: float) -> np.ndarray:
    """1 recurred by the horizon, 0 followed recurrence-free to it, NaN otherwise; float64 (n,)."""
    months, event = cohort.recurrence_months, cohort.recurrence_event
    return np.where(event & (months <= horizon_months), 1.0, np.where(months >= horizon_months, 0.0, np.nan))


def oracle(cohort: Cohort, patient_signal: np.ndarray) -> dict[str, Any]:
    """AUROCs of the latent A and of the images' best summary, on the patients of one cohort.

    Parameters
    ----------
    patient_signal : float64 (n,)
        Mean signal of each patient's images: all that images can tell about A. NaN: no image.

    Returns
    -------
    dict
        ``auroc_signal_for_aggressive``: mean image signal for A > 0; ``auroc_A_1y`` and ``auroc_signal_1y``: A and
        mean image signal for the observed 1-year label, over untreated patients; likewise 2y; with n and events.
        A figure that cannot be computed (one class) is None.
    """
    shown = ~np.isnan(patient_signal)
    figures: dict[str, Any] = {
        "patients": len(cohort),
        "auroc_signal_for_aggressive": _auroc(cohort.aggressiveness[shown] > 0, patient_signal[shown]),
    }
    for name, months in HORIZONS.items():
        label = observed_labels(cohort, months)
        judged = shown & ~np.isnan(label) & ~cohort.treated
        figures[f"n_{name}"] = int(judged.sum())
        figures[f"events_{name}"] = int(label[judged].sum())
        figures[f"auroc_A_{name}"] = _auroc(label[judged] == 1, cohort.aggressiveness[judged])
        figures[f"auroc_signal_{name}"] = _auroc(label[judged] == 1, patient_signal[judged])
    return figures


def population_ceiling(parameters: Parameters, images_per_patient: int) -> dict[str, float | None]:
    """The figures of :func:`oracle` over 100,000 internal patients with equally many images (fixed seed)."""
    size = parameters.size("internal").model_copy(update={"patients": _POPULATION, "treated": -1})
    sizes = parameters.sizes.model_copy(update={"internal": size})
    cohort = simulate_patients(parameters.model_copy(update={"sizes": sizes}), _POPULATION_SEED)
    model = parameters.signal
    spread = np.hypot(model.patient_noise, model.image_noise / np.sqrt(images_per_patient))
    noise = np.random.default_rng(_POPULATION_SEED).standard_normal(_POPULATION)
    return oracle(cohort, cohort.aggressiveness + spread * noise)


def _auroc(positive: np.ndarray, score: np.ndarray) -> float | None:
    if positive.size == 0 or positive.all() or not positive.any():
        return None
    return round(float(roc_auc_score(positive, score)), 6)
