"""Missing indicators: training patients completed several times, and everybody else without his outcome."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.data import Population
from hccfeat.stats.cox import TIES
from hccfeat.stats.coxmodel import CoxFit, cox_model
from hccfeat.stats.imputation import Pooled, PooledTest, d3, rubin
from hccfeat.stats.imputer import Imputer, fit_imputer
from hccfeat.stats.km import product_limit
from hccfeat.stats.logistic import LogisticFit, logistic
from hccfeat.stats.risksets import PartialLikelihood, Ties

Floats = NDArray[np.float64]
Likelihoods = tuple[Floats | np.float64, Floats | np.float64]
"""Log-likelihoods of the copies (m,), or one of all: at the estimates of each, and at their mean."""


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
        own = np.full(len(train), np.nan)
        own[followed] = nelson_aalen(train.time[followed], train.event[followed])
        columns = [np.where(followed, train.event, np.nan), own]
    varying = [values for values in columns if len(np.unique(values[~np.isnan(values)])) > 1]
    return np.column_stack([np.empty((len(train), 0)), *varying])


def nelson_aalen(time: Floats, event: NDArray[Any]) -> Floats:
    """Nelson-Aalen estimate of the cumulative hazard at each patient's own time (n,)."""
    curve = product_limit(time, event)
    return np.asarray(np.cumsum(curve.events / curve.at_risk)[np.searchsorted(curve.times, time)])


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
        The covariates tested, all by default, against the model without them (D3).
    n, events, times : int
        Patients, those with the event, and imputations.
    incomplete : int
        Patients with a covariate that is not the same in all copies.
    """

    terms: tuple[str, ...]
    pooled: Pooled
    test: PooledTest
    n: int
    events: int
    times: int
    incomplete: int

    @property
    def basis(self) -> str:
        """Imputations, and whom they concern, in words."""
        return f"{self.times} imputations, {self.incomplete} of {self.n} patients with a missing item"

    @property
    def said(self) -> str:
        """Basis and test in words."""
        test = self.test
        residual = f"{test.residual_df:.0f}" if np.isfinite(test.residual_df) else "infinite"
        return f"{self.basis}: F {test.f:.3f} on {test.df} and {residual} degrees of freedom"


def pooled_cox(
    time: Floats,
    event: Floats,
    copies: Floats,
    names: Sequence[str],
    ties: Ties = TIES,
    *,
    tested: int | None = None,
) -> PooledModel:
    """Cox regression of each completed copy of the covariates (m, n, p), pooled.

    Parameters
    ----------
    time, event : ndarray (n,)
        Months, and 0/1.
    copies : ndarray (m, n, p)
        Completed covariates.
    names : sequence of str
        One per covariate.
    ties : {"efron", "breslow"}
        Treatment of events at the same time.
    tested : int, optional
        How many of the last covariates the likelihood-ratio test takes away; all by default.

    Raises
    ------
    AnalysisError
        If a copy has no finite estimate, or there are fewer than two.
    """
    fits = [cox_model(time, event, x, ties) for x in copies]
    estimates = np.array([fit.coefficients for fit in fits])
    pooled = rubin(estimates, np.array([fit.covariance for fit in fits]))
    tested = len(names) if tested is None else tested
    smaller: Likelihoods = (np.float64(fits[0].null_log_likelihood),) * 2
    if kept := len(names) - tested:
        smaller = _cox_likelihoods([cox_model(time, event, x[:, :kept], ties) for x in copies])
    test = _nested(_cox_likelihoods(fits), smaller, tested)
    return PooledModel(tuple(names), pooled, test, fits[0].n, fits[0].events, len(fits), _incomplete(copies))


def pooled_logistic(
    labels: Floats, copies: Floats, names: Sequence[str], *, tested: int | None = None
) -> PooledModel:
    """Logistic regression of each completed copy of the covariates (m, n, p), pooled.

    Parameters
    ----------
    labels : ndarray of 0/1 (n,)
        Event.
    copies, names, tested
        As for :func:`pooled_cox`.

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
    tested = len(names) if tested is None else tested
    share = labels.mean()
    null = len(labels) * float(share * np.log(share) + (1 - share) * np.log1p(-share))
    smaller: Likelihoods = (np.float64(null),) * 2
    if kept := len(names) - tested:
        few = standard[:, :, :kept]
        smaller = _logistic_likelihoods(few, labels, [logistic(x, labels, list(names[:kept])) for x in few])
    test = _nested(_logistic_likelihoods(standard, labels, fits), smaller, tested)
    terms = (fits[0].terms[0], *names)
    return PooledModel(terms, pooled, test, fits[0].n, fits[0].events, len(fits), _incomplete(copies))


def _nested(larger: Likelihoods, smaller: Likelihoods, tested: int) -> PooledTest:
    """D3 of a model against a smaller one: either is taken at its own estimates averaged over the copies."""
    own, shared = (2 * np.asarray(many - few) for many, few in zip(larger, smaller, strict=True))
    return d3(own, shared, tested)


def _cox_likelihoods(fits: Sequence[CoxFit]) -> Likelihoods:
    middle = np.mean([fit.coefficients for fit in fits], axis=0)
    shared = [
        PartialLikelihood(fit.sets, (fit.x - fit.centre)[fit.sets.order], middle).log_likelihood for fit in fits
    ]
    return np.array([fit.log_likelihood for fit in fits]), np.array(shared)


def _logistic_likelihoods(copies: Floats, labels: Floats, fits: Sequence[LogisticFit]) -> Likelihoods:
    middle = np.mean([fit.coefficients for fit in fits], axis=0)
    shared = [_logistic_likelihood(x, labels, middle) for x in copies]
    return np.array([fit.log_likelihood for fit in fits]), np.array(shared)


def _incomplete(copies: Floats) -> int:
    """Patients whose rows (m, n, p) are not the same in all copies; known values are."""
    return int((copies != copies[0]).any(axis=(0, 2)).sum())


def _logistic_covariance(x: Floats, probability: Floats) -> Floats:
    design = np.column_stack([np.ones(len(x)), x])
    return np.asarray(np.linalg.inv(design.T @ ((probability * (1 - probability))[:, None] * design)))


def _logistic_likelihood(x: Floats, labels: Floats, coefficients: Floats) -> float:
    linear = coefficients[0] + x @ coefficients[1:]
    return float((labels * linear - np.logaddexp(0.0, linear)).sum())
