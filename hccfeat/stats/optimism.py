"""The optimism bootstrap: how much of an apparent figure comes from judging a model on its own patients."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hccfeat.errors import AnalysisError
from hccfeat.stats.resampling import bootstrap_weights, percentile_interval

Rows = NDArray[np.int64]
Model = TypeVar("Model")
Key = TypeVar("Key")
MOST_FAILED = 0.1
"""With a larger share of resamples without a model the correction would describe only the lucky ones."""


@dataclass(frozen=True)
class Corrected:
    """A figure corrected for optimism; numbers are None where they cannot be had, and ``method`` says why.

    Attributes
    ----------
    apparent : float or None
        Of the model on the patients it was fitted on.
    optimism : float or None
        Mean over resamples of the figure on the resample minus that on all patients.
    value, lower, upper : float or None
        Apparent figure minus optimism, and the 95 % limits of the apparent figures of the resamples' own
        models, shifted by the optimism (Noma et al. 2021).
    resamples : int
        Resamples that gave both figures.
    """

    apparent: float | None
    optimism: float | None
    value: float | None
    lower: float | None
    upper: float | None
    resamples: int
    method: str


def corrected_for_optimism(
    n: int,
    fit: Callable[[Rows], Model],
    judge: Callable[[Model, Rows], Mapping[Key, float | None]],
    *,
    resamples: int,
    seed: int,
    no_interval: Callable[[Key], bool] = lambda key: False,
) -> dict[Key, Corrected]:
    """Correct apparent figures by refitting on resamples of patients (Harrell, Lee and Mark 1996).

    Every resample draws n patients with replacement, repeats *all* steps on them by ``fit``, and compares the
    model on the resample with the same model on all patients. R's ``rms::validate`` does the same.

    Parameters
    ----------
    n : int
        Patients; a row is a patient.
    fit : callable
        From rows (n,), repeated ones included, to a model. Whatever learns must learn in it: imputation, scaling,
        selection, tuning. An ``AnalysisError`` leaves the resample out and is counted.
    judge : callable
        From a model and rows to figures by key, None or NaN where one does not exist.
    resamples, seed : int
        Number of resamples, and seed of their draws.
    no_interval : callable
        Whether the apparent value of a figure says nothing of its spread, such as a calibration slope, which is
        1 or near it on the patients that the model was fitted on.

    Returns
    -------
    dict of key to Corrected
        By the keys that ``judge`` gives for all patients.

    Raises
    ------
    AnalysisError
        If there are fewer than two patients, or the model cannot be fitted on all of them.
    """
    if n < 2:
        raise AnalysisError("optimism bootstrap", f"has {n} patients", "Use a larger cohort.")
    everyone = np.arange(n)
    apparent = judge(fit(everyone), everyone)
    own = {name: np.full(resamples, np.nan) for name in apparent}
    others = {name: np.full(resamples, np.nan) for name in apparent}
    for place, rows in enumerate(_resampled(n, resamples, seed)):
        try:
            model = fit(rows)
            found = judge(model, rows), judge(model, everyone)
        except AnalysisError:
            continue
        for name in apparent:
            own[name][place], others[name][place] = (_number(figures.get(name)) for figures in found)
    return {
        name: _corrected(value, own[name], others[name], not no_interval(name)) for name, value in apparent.items()
    }


def _resampled(n: int, resamples: int, seed: int) -> Iterator[Rows]:
    for block in bootstrap_weights(n, resamples, seed):
        for counts in block.astype(np.int64):
            yield np.repeat(np.arange(n), counts)


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _corrected(
    apparent: float | None, own: NDArray[np.float64], others: NDArray[np.float64], interval: bool
) -> Corrected:
    both = np.isfinite(own) & np.isfinite(others)
    used, lost = int(both.sum()), int((~both).sum())
    name = f"optimism bootstrap, every step refitted on {len(own)} resamples of patients"
    if apparent is None or not np.isfinite(apparent):
        return Corrected(None, None, None, None, None, used, f"{name}: there is no apparent figure to correct")
    if not used or lost > MOST_FAILED * len(own):
        reason = f"not corrected: {lost} of {len(own)} resamples of patients gave no model or no figure"
        return Corrected(float(apparent), None, None, None, None, used, reason)
    optimism = float((own[both] - others[both]).mean())
    value = float(apparent) - optimism
    method = f"{name}" + (f" ({lost} without a model or figure left out)" if lost else "")
    method += f"; apparent {apparent:.3f}, optimism {optimism:.3f}"
    if not interval:
        method += "; no interval: on the patients of the fit the figure does not show its own uncertainty"
        return Corrected(float(apparent), optimism, value, None, None, used, method)
    lower, upper, note = percentile_interval(own[both])
    if lower is None or upper is None:
        return Corrected(float(apparent), optimism, value, None, None, used, f"{method}; {note}")
    method += "; 95 % interval of the resamples' apparent figures, shifted by the optimism"
    return Corrected(float(apparent), optimism, value, lower - optimism, upper - optimism, used, method)
