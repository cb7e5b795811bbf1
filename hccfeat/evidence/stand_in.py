"""Ridge regression on image-like features in place of the encoder: fast enough for hundreds of cohorts."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from hccfeat.errors import AnalysisError
from hccfeat.evidence.patients import Floats, Labels, Untreated
from hccfeat.stats.discrimination import delong_components

ITERATIONS = 1000
TOLERANCE = 1e-8
LARGEST_STEP = 2.0
"""Of the linear predictor in one step of Newton's method."""


def standardised(features: Floats, training_patients: int) -> Floats:
    """Features in standard deviations of the first ``training_patients`` rows; the others are not looked at."""
    train = features[:training_patients]
    return np.asarray((features - train.mean(axis=0)) / train.std(axis=0))


def fit_scores(features: Floats, labels: Labels, judged: slice, c: float) -> Floats:
    """Train on the rows of an arm and score the judged ones.

    Parameters
    ----------
    features : float64 (n, features)
        Standardised.
    labels : Labels
        Rows and labels; with months, a Cox model with the same ridge penalty (1 / c) is fitted instead.
    judged : slice
        Rows to score.
    c : float
        Inverse of the ridge penalty on the summed loss.

    Returns
    -------
    float64 (judged,)
        Linear predictor; higher means earlier recurrence.
    """
    x = features[labels.rows]
    if labels.months is None:
        model = LogisticRegression(C=c, max_iter=ITERATIONS).fit(x, labels.y)
        return np.asarray(model.decision_function(features[judged]))
    return np.asarray(features[judged] @ ridge_cox(x, labels.months, labels.y == 1, 1 / c))


def ridge_cox(x: Floats, months: Floats, event: NDArray[np.bool_], penalty: float) -> Floats:
    """Coefficients of a Cox model with a ridge penalty, Breslow ties, by Newton's method in whole matrices.

    Parameters
    ----------
    x : float64 (n, p)
        Standardised covariates; n of a few hundred, p of about as many.
    months, event : arrays (n,)
        Survival time and whether it ended in the event.
    penalty : float
        Minimised is the negative log partial likelihood + penalty / 2 * the squared coefficients.

    Raises
    ------
    AnalysisError
        If it does not converge.
    """
    order = np.argsort(-months, kind="stable")
    x, event = x[order], event[order]
    last = np.searchsorted(-months[order], -months[order], side="right") - 1  # of those still at risk
    last = last[event]
    coefficients = np.zeros(x.shape[1])
    for _ in range(ITERATIONS):
        linear = x @ coefficients
        hazard = np.exp(linear - linear.max())
        total = np.cumsum(hazard)[last]
        mean = np.cumsum(hazard[:, None] * x, axis=0)[last] / total[:, None]
        gradient = (mean - x[event]).sum(axis=0) + penalty * coefficients
        exposure = hazard * np.bincount(last, 1 / total, len(x))[::-1].cumsum()[::-1]
        curvature = (x.T * exposure) @ x - mean.T @ mean + penalty * np.eye(x.shape[1])
        step = np.linalg.solve(curvature, gradient)
        step /= max(1.0, float(np.abs(x @ step).max()) / LARGEST_STEP)
        coefficients = coefficients - step
        if np.abs(step).max() < TOLERANCE:
            return coefficients
    raise AnalysisError("ridge Cox model", "did not converge", "Use a larger penalty (a smaller c).")


def area(y: NDArray[np.bool_], scores: Floats) -> float:
    """AUROC without its interval."""
    return float(delong_components(y, scores)[0].mean())


MEASURES = {
    "auroc_1y": "AUROC, observed 1-year label",
    "auroc_a": "AUROC, A > 0",
}


def measures(scores: Floats, people: Untreated) -> tuple[float, float]:
    """How well scores tell observed early recurrence, and the truth: the columns of :data:`MEASURES`."""
    labelled = ~np.isnan(people.early)
    early = area(people.early[labelled] == 1, scores[labelled])
    return early, area(people.aggressiveness > 0, scores)
