"""Missing indicators: training patients completed several times, and everybody else without his outcome."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.data import Population
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.imputation import Pooled, PooledTest, d3, rubin
from hccfeat.stats.imputer import Imputer, fit_imputer
from hccfeat.stats.km import product_limit
from hccfeat.stats.logistic import logistic
from hccfeat.stats.risksets import PartialLikelihood

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Imputed:
    """Some indicators of training patients, completed m times.

    Attributes
    ----------
    imputer : Imputer
        Of the indicators, then the outcome.
    columns : list of int
        Of the indicators that vary among the training patients.
    seed : int
        Of the draws for others.
    """

    imputer: Imputer
    columns: list[int]
    seed: int
    _last: list[tuple[Population, Floats]] = field(default_factory=list, repr=False, compare=False)

    @property
    def times(self) -> int:
        """Imputations, m."""
        return len(self.imputer.means)

    @cached_property
    def completed(self) -> Floats:
        """Indicators of the training patients (m, n, p), informed by their outcomes."""
        return self.imputer.completed[:, :, : len(self.columns)]

    def of(self, patients: Population) -> Floats:
        """Indicators of any patients (m, k, p), completed by what the training patients taught, without outcome."""
        # A model is asked for risk, probability and more about the same patients: they are completed once.
        if self._last and self._last[0][0] is patients:
            return self._last[0][1]
        known = patients.indicators[:, self.columns]
        outcome = np.full((len(patients), self.imputer.means.shape[1] - len(self.columns)), np.nan)
        found = self.imputer.impute(np.column_stack([known, outcome]), self.seed)[:, :, : len(self.columns)]
        self._last[:] = [(patients, found)]
        return found


def impute(train: Population, columns: list[int], *, imputations: int, seed: int) -> Imputed:
    """Learn to impute from training patients.

    The outcome takes part, as it must where coefficients are not to be pulled towards zero: the event and the
    Nelson-Aalen estimate of the cumulative hazard at the patient's time (White and Royston 2009), or the label
    where the endpoint has no time.

    Parameters
    ----------
    train : Population
        Training patients.
    columns : list of int
        Indicators, each with two different values among them.
    imputations, seed : int
        Number m, and seed of all draws.

    Raises
    ------
    AnalysisError
        If there are hardly more patients than columns.
    """
    rows = np.column_stack([train.indicators[:, columns], _outcome(train)])
    return Imputed(fit_imputer(rows, imputations=imputations, seed=seed), columns, seed + 1)


def _outcome(train: Population) -> Floats:
    """What the imputation knows of the outcome (n, 1 or 2); columns that do not vary are left out."""
    followed = train.followed
    columns = [train.y]
    if followed.any():
        curve = product_limit(train.time[followed], train.event[followed])
        hazard = np.cumsum(curve.events / curve.at_risk)
        own = np.full(len(train), np.nan)
        own[followed] = hazard[np.searchsorted(curve.times, train.time[followed])]
        columns = [np.where(followed, train.event, np.nan), own]
    varying = [values for values in columns if len(np.unique(values[~np.isnan(values)])) > 1]
    return np.column_stack([np.empty((len(train), 0)), *varying])


@dataclass(frozen=True)
class PooledModel:
    """A regression of completed patients, pooled over the imputations.

    Attributes
    ----------
    terms : tuple of str
        The intercept, where there is one, and the covariates.
    pooled : Pooled
        Coefficients per unit (Rubin's rules).
    test : PooledTest
        All covariates against none (D3).
    n, events, times : int
        Patients, those with the event, and imputations.
    """

    terms: tuple[str, ...]
    pooled: Pooled
    test: PooledTest
    n: int
    events: int
    times: int


def pooled_cox(time: Floats, event: Floats, copies: Floats, names: Sequence[str]) -> PooledModel:
    """Cox regression (Efron ties) of each completed copy of the covariates (m, n, p), pooled.

    Raises
    ------
    AnalysisError
        If a copy has no finite estimate, or there are fewer than two.
    """
    fits = [cox_model(time, event, x) for x in copies]
    estimates = np.array([fit.coefficients for fit in fits])
    pooled = rubin(estimates, np.array([fit.covariance for fit in fits]))
    shared = [
        PartialLikelihood(fit.sets, (fit.x - fit.centre)[fit.sets.order], pooled.estimates).log_likelihood
        for fit in fits
    ]
    null = fits[0].null_log_likelihood
    own = np.array([fit.log_likelihood for fit in fits])
    test = d3(2 * (own - null), 2 * (np.array(shared) - null), len(names))
    return PooledModel(tuple(names), pooled, test, fits[0].n, fits[0].events, len(fits))


def pooled_logistic(labels: Floats, copies: Floats, names: Sequence[str]) -> PooledModel:
    """Logistic regression of each completed copy of the covariates (m, n, p), pooled.

    Raises
    ------
    AnalysisError
        If a copy has no finite estimate, or there are fewer than two.
    """
    # On a common scale, because units such as those of AFP would make the information hard to invert.
    centre, scale = copies.mean(axis=(0, 1)), copies.std(axis=(0, 1))
    standard = (copies - centre) / np.where(scale > 0, scale, 1.0)
    fits = [logistic(x, labels, list(names)) for x in standard]
    back = np.diag(np.append(1.0, 1 / scale))
    back[0, 1:] = -centre / scale
    estimates = np.array([fit.coefficients for fit in fits])
    covariances = [_logistic_covariance(x, fit.predict(x)) for x, fit in zip(standard, fits, strict=True)]
    pooled = rubin(estimates @ back.T, back @ np.array(covariances) @ back.T)
    middle = estimates.mean(axis=0)
    share = labels.mean()
    null = len(labels) * float(share * np.log(share) + (1 - share) * np.log1p(-share))
    own = np.array([fit.log_likelihood for fit in fits])
    shared = np.array([_logistic_likelihood(x, labels, middle) for x in standard])
    test = d3(2 * (own - null), 2 * (shared - null), len(names))
    return PooledModel((fits[0].terms[0], *names), pooled, test, fits[0].n, fits[0].events, len(fits))


def _logistic_covariance(x: Floats, probability: Floats) -> Floats:
    design = np.column_stack([np.ones(len(x)), x])
    return np.asarray(np.linalg.inv(design.T @ ((probability * (1 - probability))[:, None] * design)))


def _logistic_likelihood(x: Floats, labels: Floats, coefficients: Floats) -> float:
    linear = coefficients[0] + x @ coefficients[1:]
    return float((labels * linear - np.logaddexp(0.0, linear)).sum())
