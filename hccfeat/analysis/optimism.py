"""Apparent figures of clinical models, corrected by refitting every step on resamples of patients."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from hccfeat.analysis.clinical_models import resampled
from hccfeat.analysis.data import Population
from hccfeat.analysis.models import FittedModel
from hccfeat.analysis.rating import Rating, judging_times, rate
from hccfeat.analysis.results import Metric
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.calibration import pseudo_values, regress_logit
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.discrimination import weighted_auroc
from hccfeat.stats.optimism import Corrected, corrected_for_optimism
from hccfeat.stats.risksets import Ties
from hccfeat.stats.survival import weighted_harrell
from hccfeat.stats.timedependent import Horizon

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
FitAll = Callable[[Population], list[FittedModel]]
CORRECTED = "_corrected"
BRIER, SLOPE = "brier", "calibration_slope"


@dataclass(frozen=True)
class Figure:
    """A figure of one model, corrected, and the patients behind it."""

    model: str
    metric: str
    corrected: Corrected
    n: int
    events: int


def corrected_figures(
    everyone: Population,
    fitted: Sequence[FittedModel],
    fit: FitAll,
    settings: AnalysisConfig,
    *,
    horizon: float | None,
    timed: bool = True,
) -> list[Figure]:
    """Correct AUROC, Harrell's C, Brier score and calibration slope for optimism.

    With a horizon, Brier score and slope are of the risk by then and see the censoring; without, of the label. A
    model of time without a horizon has Brier scores at the judging times, and the slope of Cox regression on its
    log hazard. A resample repeats the whole of ``fit``, and its models say all patients' risks without their
    outcomes.

    Parameters
    ----------
    everyone : Population
        Whom the models are fitted and judged on; those with neither label nor follow-up time are left out.
    fitted : sequence of FittedModel
        The models to correct, fitted on them.
    fit : callable
        From a resample of them to the same models: imputation, choice of indicators and coefficients.
    settings : AnalysisConfig
        Number of resamples and seed.
    horizon : float or None
        Of the endpoint.
    timed : bool
        Whether the endpoint has a follow-up time.

    Raises
    ------
    AnalysisError
        If the patients have images: what an encoder learned of them is not refitted here.
    """
    if everyone.image_vectors is not None:
        raise AnalysisError(
            f"cohort {everyone.cohort}",
            "has models of images, and a resample does not train their encoder again",
            "Use cross-validation with one encoder per fold.",
        )
    patients = everyone.take(everyone.followed | everyone.labelled)
    times = judging_times(patients, horizon) if timed else ()
    whole = _Sample(patients, np.arange(len(patients)), horizon, timed, times, settings.ties)

    def refit(rows: Rows) -> _Refit:
        models = fitted if np.array_equal(rows, whole.rows) else fit(resampled(patients, rows))
        return _Refit({model.name: rate(model, patients) for model in models}, replace(whole, rows=rows))

    def judge(refitted: _Refit, rows: Rows) -> dict[tuple[str, str], float | None]:
        sample = refitted.sample if np.array_equal(rows, refitted.sample.rows) else whole
        return {
            (name, metric): value
            for name, rating in refitted.ratings.items()
            for metric, value in sample.figures(rating).items()
        }

    found = corrected_for_optimism(
        len(patients), refit, judge, resamples=settings.optimism, seed=settings.seed, no_interval=_is_slope
    )
    return [Figure(*key, corrected, *whole.counts(key[1])) for key, corrected in found.items()]


def corrected_rows(endpoint: str, patients: Population, figures: Iterable[Figure]) -> list[Metric]:
    """Figures as rows of ``metrics.csv``, with ``_corrected`` behind the metric."""
    return [
        Metric(
            endpoint, patients.cohort, "apparent", figure.model, figure.metric + CORRECTED,
            figure.corrected.value, figure.corrected.lower, figure.corrected.upper,
            figure.n, figure.events, figure.corrected.method,
        )
        for figure in figures
    ]  # fmt: skip


def _is_slope(key: tuple[str, str]) -> bool:
    """A slope is 1 or near it on the patients of the fit, whatever its uncertainty."""
    return key[1] == SLOPE


@dataclass(frozen=True)
class _Refit:
    """What models fitted on a sample say of all patients."""

    ratings: Mapping[str, Rating]
    sample: "_Sample"


@dataclass(frozen=True)
class _Sample:
    """Patients drawn, as rows of all of them, and their outcome; ``times`` are when probabilities are judged."""

    patients: Population
    rows: Rows
    horizon: float | None
    timed: bool
    times: tuple[float, ...]
    ties: Ties

    def counts(self, metric: str) -> tuple[int, int]:
        """Patients and events behind a figure."""
        p = self.patients
        when = self.horizon if metric in (BRIER, SLOPE) else next((t for t in self.times if metric == _at(t)), None)
        if self.timed and when is not None:
            return int(p.followed.sum()), int((p.recurred[p.followed] * (p.months[p.followed] <= when)).sum())
        if metric == "c_index":
            return int(p.followed.sum()), int(np.nansum(p.event))
        return int(p.labelled.sum()), int(np.nansum(p.y))

    @cached_property
    def weights(self) -> Floats:
        """How often each patient was drawn (1, n)."""
        return np.bincount(self.rows, minlength=len(self.patients))[None].astype(np.float64)

    @cached_property
    def followed(self) -> Rows:
        """Rows of those with a survival time."""
        return self.rows[self.patients.followed[self.rows]]

    @cached_property
    def labelled(self) -> Rows:
        """Rows of those with a label."""
        return self.rows[self.patients.labelled[self.rows]]

    @cached_property
    def outcomes(self) -> dict[float, tuple[Floats, Floats, Floats]]:
        """By time: who of the followed had the event, their weights, and for a horizon their pseudo-values."""
        p, rows, found = self.patients, self.followed, {}
        for when in self.times:
            try:
                at = Horizon(p.months[rows], p.recurred[rows], when)
                pseudo = np.zeros(0) if self.horizon is None else pseudo_values(at.time, at.event, when)
            except AnalysisError:
                continue
            found[when] = at.case.astype(np.float64), at.weight, pseudo
        return found

    def figures(self, rating: Rating) -> dict[str, float | None]:
        """AUROC, C, Brier score and slope of one model on this sample; NaN or None where there is none."""
        p, known, followed = self.patients, self.patients.labelled, self.patients.followed
        found: dict[str, float | None] = {
            "auroc": float(weighted_auroc(p.y[known], rating.risk[known])(self.weights[:, known])[0])
        }
        if self.timed:
            statistic = weighted_harrell(p.time[followed], p.event[followed], rating.risk[followed])
            found["c_index"] = float(statistic(self.weights[:, followed])[0])
        if self.timed and self.horizon is not None:
            return found | self._by_horizon(rating, self.horizon)
        if rating.probability is not None and len(self.labelled):
            y, probability = p.y[self.labelled], rating.probability[self.labelled]
            return found | {BRIER: float(((y - probability) ** 2).mean()), SLOPE: _slope(y, probability)}
        return found | (self._by_time(rating) if self.timed else {})

    def _by_horizon(self, rating: Rating, horizon: float) -> dict[str, float | None]:
        if rating.probability is None or horizon not in self.outcomes:
            return {BRIER: None, SLOPE: None}
        happened, weight, pseudo = self.outcomes[horizon]
        probability = rating.probability[self.followed]
        return {
            BRIER: float((weight * (happened - probability) ** 2).mean()),
            SLOPE: _slope(pseudo, probability),
        }

    def _by_time(self, rating: Rating) -> dict[str, float | None]:
        """Slope of Cox regression on the log hazard, and Brier scores at the judging times."""
        p, rows = self.patients, self.followed
        found: dict[str, float | None] = {}
        try:
            fit = cox_model(p.time[rows], p.event[rows], rating.risk[rows], self.ties)
            found[SLOPE] = float(fit.coefficients[0])
        except AnalysisError:
            found[SLOPE] = None
        for when in self.times:
            probability, _ = rating.by(when, None)
            found[_at(when)] = None
            if probability is not None and when in self.outcomes:
                happened, weight, _ = self.outcomes[when]
                found[_at(when)] = float((weight * (happened - probability[rows]) ** 2).mean())
        return found


def _at(when: float) -> str:
    return f"{BRIER}_{when:g}"


def _slope(outcome: Floats, probability: Floats) -> float | None:
    """Of the regression of the outcome on the predicted logit; None where that or the slope is not finite."""
    if not len(probability) or probability.min() <= 0 or probability.max() >= 1:
        return None
    linear = logit(probability)
    if linear.std() < 1e-9:
        return None
    fit = regress_logit(outcome, np.column_stack([np.ones(len(linear)), linear]), np.zeros(len(linear)))
    return None if fit is None else float(fit[0][1])
