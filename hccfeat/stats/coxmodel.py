"""Cox regression by Newton's method in plain arrays, with Efron's or Breslow's ties; equals R's ``coxph``."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, ndtr

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import Z, finite, same_length
from hccfeat.stats.risksets import PartialLikelihood, RiskSets, Ties

Floats = NDArray[np.float64]

LARGEST_STANDARD_ERROR = 10.0
"""Of a log hazard ratio per SD; beyond it the likelihood is flat and the estimate runs to infinity."""
LARGEST_RANGE = 500.0
"""Of the log hazards of all patients; no finite maximum lies beyond, and their sums would underflow."""
ITERATIONS = 40
PRECISION = 1e-18
"""Newton stops when the squared step, in standard errors, is below this."""


class SeparationError(AnalysisError):
    """The likelihood has no finite maximum: the covariates separate the events. Firth's estimate exists."""


class CollinearityError(AnalysisError):
    """A covariate is constant or a linear combination of others."""


@dataclass(frozen=True)
class Test:
    """A chi-square statistic, its degrees of freedom and its P."""

    __test__ = False

    chisq: float
    df: int
    p: float

    @classmethod
    def of(cls, chisq: float, df: int) -> "Test":
        """P from the upper tail of the chi-square distribution."""
        return cls(float(chisq), df, float(chdtrc(df, chisq)))


@dataclass(frozen=True)
class CoxFit:
    """A fitted Cox model, on the scale of the covariates as given.

    Attributes
    ----------
    coefficients : ndarray of float64 (p,)
        Log hazard ratios per unit.
    covariance : ndarray of float64 (p, p)
        Inverse of the observed information.
    null_log_likelihood, log_likelihood : float
        Partial log-likelihood without covariates and at the maximum.
    score_test : Test
        Of all coefficients, at zero.
    centre : ndarray of float64 (p,)
        Means of the covariates; :attr:`linear_predictor` is centred there, as R's is.
    x : ndarray of float64 (n, p)
        The covariates, in the order given.
    sets : RiskSets
        Times, events and ties.
    """

    coefficients: Floats
    covariance: Floats
    null_log_likelihood: float
    log_likelihood: float
    score_test: Test
    centre: Floats
    x: Floats
    sets: RiskSets
    iterations: int

    @property
    def n(self) -> int:
        """Patients."""
        return self.sets.n

    @property
    def events(self) -> int:
        """Patients with the event."""
        return len(self.sets.events)

    @property
    def standard_errors(self) -> Floats:
        """Standard errors of the coefficients (p,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    @property
    def p(self) -> Floats:
        """Two-sided Wald P of each coefficient (p,)."""
        return np.asarray(2 * ndtr(-np.abs(self.coefficients) / self.standard_errors))

    def hazard_ratios(self) -> Floats:
        """Hazard ratios per unit with Wald 95 % limits (p, 3)."""
        half = Z * self.standard_errors
        with np.errstate(over="ignore"):
            return np.exp(self.coefficients[:, None] + np.column_stack([np.zeros_like(half), -half, half]))

    @property
    def likelihood_ratio_test(self) -> Test:
        """All coefficients against none."""
        gain = 2 * (self.log_likelihood - self.null_log_likelihood)
        return Test.of(max(gain, 0.0), len(self.coefficients))

    @property
    def wald_test(self) -> Test:
        """All coefficients against zero."""
        chisq = self.coefficients @ np.linalg.solve(self.covariance, self.coefficients)
        return Test.of(float(chisq), len(self.coefficients))

    @cached_property
    def linear_predictor(self) -> Floats:
        """Centred log hazard of each patient (n,), in the order given."""
        return np.asarray((self.x - self.centre) @ self.coefficients)

    @cached_property
    def at_maximum(self) -> PartialLikelihood:
        """Sums over the risk sets at the estimate, covariates centred and in the risk sets' order."""
        return PartialLikelihood(self.sets, (self.x - self.centre)[self.sets.order], self.coefficients)


def cox_model(time: ArrayLike, event: ArrayLike, x: ArrayLike, ties: Ties = "efron") -> CoxFit:
    """Fit a Cox model by maximum partial likelihood.

    Coefficients, standard errors, log-likelihoods and the likelihood-ratio, Wald and score tests equal those of
    R's ``survival::coxph`` (3.5) with the same ``ties`` (Efron 1977; Breslow 1974).

    Parameters
    ----------
    time, event : array (n,)
        Times from the index date, and 0/1.
    x : array (n, p) or (n,)
        Complete covariates, unscaled.
    ties : {"efron", "breslow"}
        Treatment of events at the same time.

    Raises
    ------
    AnalysisError
        If the arrays are malformed or hold no event.
    CollinearityError
        If a covariate is constant or a linear combination of others.
    SeparationError
        If no finite maximum exists; :func:`hccfeat.stats.firth.firth_cox` gives an estimate then.
    """
    matrix = finite(x, "covariates")
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    sets = RiskSets(time, event, ties)
    same_length(time=sets.time, covariates=matrix)
    return fit_risk_sets(sets, matrix)


def fit_risk_sets(sets: RiskSets, x: Floats) -> CoxFit:
    """Fit covariates (n, p), in the order of the patients as given, to known risk sets; see :func:`cox_model`."""
    centre, scale = x.mean(axis=0), x.std(axis=0)
    # A spread that is rounding noise beside the values themselves is no spread.
    if not x.shape[1] or (scale <= 1e-12 * np.abs(x).max(axis=0, initial=0.0)).any():
        raise _collinear()
    standard = ((x - centre) / scale)[sets.order]
    if x.shape[1] > 1 and np.linalg.eigvalsh(standard.T @ standard / sets.n)[0] < 1e-12:
        raise _collinear()
    start = PartialLikelihood(sets, standard, np.zeros(x.shape[1]))
    # Where the maximum lies at infinity the sums overflow on the way there.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        beta, point, covariance, score_chisq, iterations = _newton(sets, standard, start)
    variances = np.diag(covariance)
    # A likelihood that is flat but for rounding can give an inverse with a negative diagonal.
    if not ((variances > 0) & (variances <= LARGEST_STANDARD_ERROR**2)).all():
        raise _separated()
    return CoxFit(
        coefficients=beta / scale,
        covariance=covariance / np.outer(scale, scale),
        null_log_likelihood=start.log_likelihood,
        log_likelihood=point.log_likelihood,
        score_test=Test.of(score_chisq, x.shape[1]),
        centre=centre,
        x=x,
        sets=sets,
        iterations=iterations,
    )


def nested_test(smaller: CoxFit, larger: CoxFit) -> Test:
    """Likelihood-ratio test of a model against one with further terms, an interaction for instance.

    Equals R's ``anova(smaller, larger)``.

    Raises
    ------
    AnalysisError
        If the fits are of different patients or ties, or the larger is not larger.
    """
    one, two = smaller.sets, larger.sets
    if one.ties != two.ties or not (np.array_equal(one.time, two.time) and np.array_equal(one.event, two.event)):
        raise AnalysisError("likelihood-ratio test", "compares models of different patients", "Use the same rows.")
    df = larger.x.shape[1] - smaller.x.shape[1]
    if df < 1 or larger.log_likelihood < smaller.log_likelihood - 1e-8 * abs(smaller.log_likelihood):
        raise AnalysisError("likelihood-ratio test", "compares models that are not nested", "Swap or refit them.")
    return Test.of(max(2 * (larger.log_likelihood - smaller.log_likelihood), 0.0), df)


def _newton(
    sets: RiskSets, x: Floats, start: PartialLikelihood
) -> tuple[Floats, PartialLikelihood, Floats, float, int]:
    """Estimate, the sums there, its covariance, the score statistic at zero, and the iterations."""
    beta, point = np.zeros(x.shape[1]), start
    covariance = _inverse(point)
    step = covariance @ point.score
    score_chisq = float(point.score @ step)
    for iteration in range(1, ITERATIONS + 1):
        for _ in range(30):
            trial = PartialLikelihood(sets, x, beta + step)
            # Rounding may lower the likelihood by its last digits at the maximum.
            if trial.log_likelihood >= point.log_likelihood - 1e-11 * abs(point.log_likelihood):
                break
            step = step / 2
        else:
            raise _separated()
        beta, point = beta + step, trial
        if np.ptp(x @ beta) > LARGEST_RANGE:
            raise _separated()
        covariance = _inverse(point)
        step = covariance @ point.score
        if float(point.score @ step) < PRECISION * max(1.0, len(sets.events)):
            return beta, point, covariance, score_chisq, iteration
    raise _separated()


def _inverse(point: PartialLikelihood) -> Floats:
    """Inverse of the information, which is positive definite wherever the likelihood is not flat."""
    information = point.information()
    try:
        np.linalg.cholesky(information)
        return np.asarray(np.linalg.inv(information))
    except np.linalg.LinAlgError as error:
        raise _separated() from error


def _separated() -> SeparationError:
    return SeparationError(
        "Cox regression",
        "has no finite maximum-likelihood estimate (the covariates separate the events)",
        "Use Firth's estimate, fewer covariates or more patients.",
    )


def _collinear() -> CollinearityError:
    return CollinearityError("Cox regression", "has constant or collinear covariates", "Leave one of them out.")
