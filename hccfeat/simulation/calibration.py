"""Calibration of the generator to the papers' margins; the result stands in ``data_catalog/simulation.toml``.

Integrals over the latent aggressiveness A use Gauss-Hermite quadrature, so nothing here is random.
"""

from itertools import product

import numpy as np
from scipy.optimize import brentq, root
from scipy.special import expit, logit
from scipy.stats import norm

from hccfeat.simulation.parameters import ASSIGNMENT_INDICATORS, Indicator, Parameters, Treatment

_NODES, _RAW_WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
_WEIGHTS = _RAW_WEIGHTS / _RAW_WEIGHTS.sum()
_CELLS = np.array(list(product((0.0, 1.0), repeat=len(ASSIGNMENT_INDICATORS))))


def probability_given_a(indicator: Indicator, cut: float) -> np.ndarray:
    """P(indicator = 1 | A) at the quadrature nodes of A, (60,)."""
    return norm.cdf((indicator.loading * _NODES - cut) / np.sqrt(1 - indicator.loading**2))


def calibrate(parameters: Parameters) -> tuple[dict[str, tuple[float, float]], Treatment]:
    """Cuts of all indicators and coefficients of treatment assignment that give the stated shares.

    The moment conditions P(Z = 1) = share and P(X_k = 1 | Z = z) = positive_k[z] have one solution, because
    they are the likelihood equations of a logistic model.

    Returns
    -------
    cuts : dict of str to (float, float)
        Cut among the untreated and the treated, on the standard normal scale.
    treatment : Treatment
        Share, intercept and coefficients.
    """
    share = parameters.treatment.share
    cuts: dict[str, tuple[float, float]] = {}
    for name in ASSIGNMENT_INDICATORS:
        untreated, treated = parameters.indicators[name].positive
        cut = float(norm.isf((1 - share) * untreated + share * treated))
        cuts[name] = (cut, cut)
    cells = _cell_probabilities(parameters, cuts)
    treatment = _fit_assignment(parameters, cells.T @ _WEIGHTS)
    probability = expit(treatment.intercept + _CELLS @ np.array(treatment.coefficients()))
    given_a = cells @ probability
    for name, indicator in parameters.indicators.items():
        if name not in cuts:
            weights = (_WEIGHTS * (1 - given_a), _WEIGHTS * given_a)
            cuts[name] = (_group_cut(indicator, 0, weights[0]), _group_cut(indicator, 1, weights[1]))
    return cuts, treatment


def _cell_probabilities(parameters: Parameters, cuts: dict[str, tuple[float, float]]) -> np.ndarray:
    """Probability of each of the 16 covariate patterns at each node of A, (60, 16)."""
    cells = np.ones((_NODES.size, len(_CELLS)))
    for column, name in enumerate(ASSIGNMENT_INDICATORS):
        positive = probability_given_a(parameters.indicators[name], cuts[name][0])[:, None]
        cells *= np.where(_CELLS[:, column] == 1, positive, 1 - positive)
    return cells


def _fit_assignment(parameters: Parameters, pattern_share: np.ndarray) -> Treatment:
    share = parameters.treatment.share
    design = np.column_stack([np.ones(len(_CELLS)), _CELLS])
    goal = share * np.array([1.0, *(parameters.indicators[n].positive[1] for n in ASSIGNMENT_INDICATORS)])

    def gap(coefficients: np.ndarray) -> np.ndarray:
        return design.T @ (pattern_share * expit(design @ coefficients)) - goal

    start = np.zeros(design.shape[1])
    start[0] = logit(share)
    solution = root(gap, start, tol=1e-12).x
    named = dict(zip(ASSIGNMENT_INDICATORS, solution[1:].tolist(), strict=True))
    return Treatment(share=share, intercept=float(solution[0]), **named)


def _group_cut(indicator: Indicator, group: int, weights: np.ndarray) -> float:
    weights = weights / weights.sum()
    return float(
        brentq(
            lambda cut: weights @ probability_given_a(indicator, cut) - indicator.positive[group], -8, 8, xtol=1e-12
        )
    )
