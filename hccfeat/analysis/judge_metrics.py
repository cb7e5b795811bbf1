"""Every number by which a model is judged on one population, with its interval or the reason why there is none."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.data import Population
from hccfeat.analysis.rating import NO_PROBABILITY, ONE_TIME, Rating, followed_beyond, judging_times
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.calibration import Calibration, brier_score, calibration, survival_calibration
from hccfeat.stats.concordance import Weights, concordance
from hccfeat.stats.decision import net_benefit, survival_net_benefit
from hccfeat.stats.discrimination import auroc, average_precision
from hccfeat.stats.estimate import Estimate, count
from hccfeat.stats.intervals import normal_estimate
from hccfeat.stats.survival import FEW_EVENTS
from hccfeat.stats.threshold import threshold_metrics
from hccfeat.stats.timedependent import Horizon, auc_at, brier_at, integrated_brier, null_risk

Floats = NDArray[np.float64]
MARKS = 50
"""Times over which the Brier score is averaged."""
CALIBRATED = ("calibration_slope", "calibration_intercept", "ici", "e50", "e90")
THRESHOLDED = ("accuracy", "precision", "recall", "f1")


def estimates(
    patients: Population,
    rating: Rating,
    settings: AnalysisConfig,
    *,
    horizon: float | None = None,
    timed: bool = True,
    times: tuple[float, ...] | None = None,
    marks: int = MARKS,
) -> dict[str, Estimate]:
    """Every metric of one model on one population.

    On labelled patients: discrimination, and at the threshold. On followed patients, ``timed``: Harrell's and
    Uno's C, and at each judging time AUC, Brier score, calibration and net benefit, weighted by the censoring of
    these patients as R's ``riskRegression::Score`` does. Without a judging time of its own, calibration is that of
    the label. Names end in the months where the endpoint has no horizon.

    Parameters
    ----------
    patients : Population
        The judges.
    rating : Rating
        What the model says of them.
    settings : AnalysisConfig
        Threshold, bootstraps and seed of average precision and F1.
    horizon : float or None
        Of the endpoint.
    timed : bool
        False for an endpoint that is a finding without a time.
    times : tuple of float, optional
        Judging times; :func:`judging_times` of these patients by default.
    marks : int
        Times over which the Brier score is averaged.

    Returns
    -------
    dict of str to Estimate
        The same names for every model of an endpoint.
    """
    labelled = patients.labelled
    y, probability = patients.y[labelled], None if rating.probability is None else rating.probability[labelled]
    found = {"auroc": auroc(y, rating.risk[labelled])}
    draw = {"resamples": settings.bootstraps, "seed": settings.seed}
    found["auprc"] = average_precision(y, rating.risk[labelled], **draw)
    if probability is None:
        found |= _without(THRESHOLDED, len(y), int(y.sum()), NO_PROBABILITY)
    else:
        found |= threshold_metrics(y, probability, settings.threshold, **draw)
    if not timed or horizon is None:
        found |= of_label(y, probability, settings.threshold)
    if timed:
        times = judging_times(patients, horizon) if times is None else times
        followed = patients.take(patients.followed)
        kept = rating.take(patients.followed)
        found |= _concordances(followed, kept.risk, times[-1] if times else None)
        for when in times:
            found |= at_time(followed, kept, when, horizon, settings.threshold)
        found["ibs"] = _integrated(followed, kept, times[-1] if times else None, marks)
    return found


def of_label(y: Floats, probability: Floats | None, threshold: float) -> dict[str, Estimate]:
    """Brier score, calibration and net benefit of a probability of the label."""
    n, events = len(y), int(y.sum())
    names = ("brier", "brier_scaled", *CALIBRATED, "net_benefit")
    if probability is None or not n:
        return _without(names, n, events, NO_PROBABILITY if n else "no patients")
    found = {"brier": brier_score(y, probability)}
    flat = np.full(n, y.mean())
    found["brier_scaled"] = _scaled(found["brier"], (y - probability) ** 2, (y - flat) ** 2)
    reason = too_few(n, events)
    found |= _without(CALIBRATED, n, events, reason) if reason else _calibrated(calibration(y, probability))
    found["net_benefit"] = net_benefit(y, probability, threshold)
    return found


def at_time(
    followed: Population, rating: Rating, when: float, horizon: float | None, threshold: float
) -> dict[str, Estimate]:
    """AUC, Brier score, calibration and net benefit at one time under censoring.

    Parameters
    ----------
    followed : Population
        Patients with a survival time.
    rating : Rating
        Of the same patients.
    when : float
        Months.
    horizon : float or None
        Of the endpoint; without one, names end in the months, and models without a probability by any time
        have discrimination alone.
    threshold : float
        Of the net benefit.
    """
    end = "" if horizon is not None else f"_{when:g}"
    names = ("brier", "brier_scaled", *CALIBRATED, "net_benefit")
    n, events = len(followed), int(((followed.recurred == 1) & (followed.months <= when)).sum())
    if followed_beyond(followed, when) < 2:
        reason = f"fewer than two patients are followed beyond {when:g} months"
        return _without([f"{name}{end}" for name in ("auc_at", *names)], n, events, reason)
    at = Horizon(followed.months, followed.recurred, when)
    found = {"auc_at": auc_at(at, rating.risk).estimate}
    probability, reason = rating.by(when, horizon)
    if probability is None:
        found |= _without(names, n, events, reason)
    else:
        score, null = brier_at(at, probability), brier_at(at, null_risk(at))
        found["brier"] = score.estimate
        values = [value.influence + (value.estimate.value or 0.0) for value in (score, null)]
        found["brier_scaled"] = _scaled(score.estimate, *values)
        outcome = (followed.months, followed.recurred)
        reason = too_few(n, events)
        found |= (
            _without(CALIBRATED, n, events, reason)
            if reason
            else _calibrated(survival_calibration(*outcome, probability, when))
        )
        found["net_benefit"] = survival_net_benefit(*outcome, probability, threshold, when)
    return {f"{name}{end}": value for name, value in found.items()}


def _concordances(followed: Population, risk: Floats, last: float | None) -> dict[str, Estimate]:
    n, events = len(followed), int(followed.event.sum())
    if not n:
        return _without(("c_index", "c_uno"), 0, 0, "no patients with a survival time")
    found: dict[str, Estimate] = {}
    kinds: tuple[tuple[str, Weights, float | None], ...] = (("c_index", "harrell", None), ("c_uno", "uno", last))
    for name, weights, until in kinds:
        if weights == "uno" and until is None:
            found |= _without((name,), n, events, "too few patients are followed to a judging time")
        else:
            one = concordance(followed.time, followed.event, risk, weights=weights, horizon=until).estimate()
            weighted = "; weighted by the censoring of these patients" if weights == "uno" else ""
            found[name] = replace(one, method=f"{one.method}{weighted}")
    return found


def _integrated(followed: Population, rating: Rating, last: float | None, count: int) -> Estimate:
    n, events = len(followed), int(followed.event.sum())
    name = "Brier score averaged over time"
    if last is None or followed_beyond(followed, last) < 2:
        return _none(name, n, events, "too few patients are followed to a judging time")
    if rating.risk_by is None:
        return _none(name, n, events, ONE_TIME if rating.probability is not None else NO_PROBABILITY)
    marks = np.linspace(last / count, last, count)
    try:
        return integrated_brier(followed.months, followed.recurred, rating.risk_by(marks), marks).estimate
    except AnalysisError as error:
        return _none(name, n, events, error.problem)


def _scaled(score: Estimate, own: Floats, null: Floats) -> Estimate:
    """One minus the Brier score over that of a model without covariates; ``own`` and ``null`` (n,) average to them.

    The variance is that of the ratio; at the mean risk the null score does not change with the risk assumed.
    """
    base = float(null.mean())
    if score.value is None or base <= 0:
        return _none("scaled Brier score", score.n, score.events, "a model without covariates has no error")
    ratio = score.value / base
    influence = (own - score.value - ratio * (null - base)) / base
    error = float(influence.std(ddof=1) / np.sqrt(len(own))) if len(own) > 1 else 0.0
    name = f"scaled Brier score: 1 - {score.value:.4f} / {base:.4f} of a model without covariates"
    note = "95 % interval from the influence function"
    return normal_estimate(1 - ratio, error, score.n, score.events, name, note, (-np.inf, 1.0))


def _calibrated(found: Calibration) -> dict[str, Estimate]:
    n, events = found.slope.n, found.slope.events
    errors = {
        "ici": ("mean", found.mean_error),
        "e50": ("median", found.median_error),
        "e90": ("90th percentile of the", found.p90_error),
    }
    return {
        "calibration_slope": found.slope,
        "calibration_intercept": found.in_the_large,
        **{
            name: Estimate(
                value, None, None, n, events,
                f"{what} distance between prediction and lowess curve; no interval: resampling enlarges it, the "
                "curve's band shows the uncertainty",
            )
            for name, (what, value) in errors.items()
        },
    }  # fmt: skip


def too_few(n: int, events: int) -> str:
    """Why the rarer class has too few patients for a fit or a P; "" where it has enough."""
    rarer, what = min(
        (events, count(events, "event")), (n - events, f"{count(n - events, 'patient')} without the event")
    )
    return f"only {what} (fewer than {FEW_EVENTS})" if rarer < FEW_EVENTS else ""


def _none(name: str, n: int, events: int, reason: str) -> Estimate:
    return Estimate(None, None, None, n, events, f"{name} not estimated: {reason}")


def _without(names: tuple[str, ...] | list[str], n: int, events: int, reason: str) -> dict[str, Estimate]:
    return {name: _none(name, n, events, reason) for name in names}
