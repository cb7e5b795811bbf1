"""Cross-validation of clinical models inside one cohort: folds of patients or of sites, dealt again and again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from hccfeat.analysis.clinical_models import judged_by
from hccfeat.analysis.conditions import Condition
from hccfeat.analysis.crossval import SPLIT, average
from hccfeat.analysis.data import Population
from hccfeat.analysis.judge_metrics import estimates
from hccfeat.analysis.models import FittedModel
from hccfeat.analysis.out_of_fold import OutOfFold
from hccfeat.analysis.rating import Rating, judging_times, rate
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import Estimate, Z

FOLDS = 5
RESAMPLES = 100
MARKS = 10
"""Times over which the Brier score of a fold is averaged."""
Numbers = dict[str, dict[str, Estimate]]
"""Model -> metric -> estimate."""
Fit = Callable[[Population, int], tuple[list[FittedModel], dict[str, str]]]
"""Training patients and number of the repeat to models, and the reasons of those that could not be fitted."""


@dataclass
class CrossValidated:
    """What the models scored on patients whom they had not seen.

    Attributes
    ----------
    patients : Population
        Those dealt to folds; their split is ``cross_validation``.
    numbers : dict
        Means over folds and repeats, by model and metric.
    descriptions : dict
        Model -> what it is, without the numbers of one fold.
    fold_of : ndarray of int64 (n,)
        Fold of each patient in the first repeat, from 0.
    risks, high : dict
        Model -> risk (n,) in the first repeat, each on the scale of its fold, NaN where a fold has no model; and
        whether it is above the median risk of that fold's training patients.
    cuts : dict
        Model -> these medians, by fold.
    chances : dict
        Model -> probability of the label, or of the event by the horizon (n,), in the first repeat.
    out_of_fold : OutOfFold
        Probabilities of all repeats.
    problems : dict
        Model -> why it was not fitted in some folds, with their number.
    conditions : list of Condition
        Folds whose patients are of one class.
    """

    patients: Population
    numbers: Numbers = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)
    fold_of: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    risks: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    high: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    cuts: dict[str, list[float]] = field(default_factory=dict)
    chances: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    out_of_fold: OutOfFold = field(default_factory=OutOfFold)
    problems: dict[str, str] = field(default_factory=dict)
    conditions: list[Condition] = field(default_factory=list)


def cross_validate(
    everyone: Population,
    fit: Fit,
    settings: AnalysisConfig,
    *,
    horizon: float | None,
    timed: bool = True,
    sites: Sequence[str] | None = None,
) -> CrossValidated:
    """Fit models in all folds but one and judge them on that one, for every fold and repeat.

    Figures are computed inside a fold and averaged, over folds and then over repeats; risks of different folds are
    never put on one scale. Probabilities are, for curves.

    Parameters
    ----------
    everyone : Population
        Patients of one cohort; those with neither label nor follow-up time are left out.
    fit : callable
        Does everything that learns: imputation, choice of indicators, scaling and the models. A model may be
        left out of a whole repeat.
    settings : AnalysisConfig
        Repeats, first seed and threshold.
    horizon : float or None
        Of the endpoint.
    timed : bool
        Whether the endpoint has a follow-up time.
    sites : sequence of str, optional
        Site of each patient (n,): nobody is judged by a model that saw another patient of his site.

    Raises
    ------
    AnalysisError
        If there are fewer than two patients of a class, or fewer than two sites.
    """
    known = everyone.followed | everyone.labelled
    patients = replace(everyone.take(known), split=SPLIT)
    groups = None if sites is None else np.asarray(sites)[known]
    # Intervals of single folds by bootstrap are not shown, so few resamples are drawn.
    quick = settings.model_copy(update={"bootstraps": RESAMPLES})
    # The follow-up of everybody decides when to judge, not that of a fold.
    times = judging_times(patients, horizon) if timed else ()
    run = _Run(CrossValidated(patients), fit, quick, {"horizon": horizon, "timed": timed, "times": times})
    repeats = []
    for repeat in range(settings.repeats):
        fold_of = deal(patients, settings.seed + repeat, groups)
        repeats.append([run.judge(fold_of != fold, repeat) for fold in np.unique(fold_of)])
        if repeat == 0:
            run.found.fold_of = fold_of
    for name in run.found.descriptions:
        run.found.numbers[name] = _means(name, repeats, settings)
    run.finish(sum(map(len, repeats)))
    return run.found


@dataclass
class _Run:
    """A cross-validation under way: ``facts`` say when the judges are judged, ``failed`` why models are missing."""

    found: CrossValidated
    fit: Fit
    settings: AnalysisConfig
    facts: dict[str, Any]
    failed: dict[str, list[str]] = field(default_factory=dict)
    lonely: dict[str, int] = field(default_factory=lambda: {"judge": 0, "train": 0})
    """Folds in which those who judge, or train, are of one class."""

    def judge(self, inside: NDArray[np.bool_], repeat: int) -> Numbers:
        """Fit the patients inside, judge the others, and keep what is shown of them."""
        found, patients = self.found, self.found.patients
        train = patients.take(inside)
        self.lonely["judge"] += _of_one_class(patients.y[~inside])
        self.lonely["train"] += _of_one_class(train.y)
        models, problems = self.fit(train, repeat)
        for name, reason in problems.items():
            self.failed.setdefault(name, []).append(reason)
        numbers: Numbers = {}
        for model in models:
            rows = ~inside & judged_by(model, patients)
            judges = patients.take(rows)
            rating = rate(model, judges)
            numbers[model.name] = estimates(judges, rating, self.settings, marks=MARKS, **self.facts)
            found.out_of_fold.add(model.name, rating, rows, self.facts["times"], self.facts["horizon"])
            found.descriptions.setdefault(model.name, model.description.rpartition("; ")[0])
            if repeat == 0:
                _keep(found, model, train, rating, rows)
        return numbers

    def finish(self, folds: int) -> None:
        """Say which models are missing, and in how many of the folds patients are of one class."""
        self.found.problems = {
            name: f"in {len(reasons)} folds: {reasons[0]}" for name, reasons in self.failed.items()
        }
        self.found.conditions = [
            Condition(
                "one_class", "cross-validation", f"in {count} of {folds} folds those who {role} are of one class"
            )
            for role, count in self.lonely.items()
            if count
        ]


def _of_one_class(y: NDArray[np.float64]) -> bool:
    """Whether the known labels are not of both classes."""
    return len(np.unique(y[~np.isnan(y)])) < 2


def deal(patients: Population, seed: int, groups: NDArray | None = None) -> NDArray[np.int64]:
    """Deal patients to at most five folds, each with its share of the events.

    Parameters
    ----------
    patients : Population
        To be dealt.
    seed : int
        Of the order in which they are dealt.
    groups : array (n,), optional
        Site of each patient; a site is in one fold.

    Returns
    -------
    ndarray of int64 (n,)
        Fold of each patient, from 0.

    Raises
    ------
    AnalysisError
        If there are fewer than two patients with or without the event, or fewer than two sites.
    """
    outcome = np.where(patients.followed, patients.event, patients.y) > 0
    units = len(outcome) if groups is None else len(np.unique(groups))
    folds = min(FOLDS, int(outcome.sum()), int((~outcome).sum()), units)
    if folds < 2:
        problem = f"cannot be dealt to folds: {int(outcome.sum())} events, {len(outcome)} patients, {units} units"
        raise AnalysisError(f"cohort {patients.cohort}", problem, "Use a larger cohort or another endpoint.")
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    fold_of = np.zeros(len(outcome), dtype=np.int64)
    for fold, (_, judged) in enumerate(splitter.split(outcome, outcome, groups)):
        fold_of[judged] = fold
    return fold_of


def _keep(
    found: CrossValidated, model: FittedModel, train: Population, rating: Rating, rows: NDArray[np.bool_]
) -> None:
    """Risks and groups of the first repeat; the cut between the groups is the fold's own."""
    n = len(found.patients)
    found.risks.setdefault(model.name, np.full(n, np.nan))[rows] = rating.risk
    if rating.probability is not None:
        found.chances.setdefault(model.name, np.full(n, np.nan))[rows] = rating.probability
    cut = float(np.median(rate(model, train.take(judged_by(model, train))).risk))
    found.cuts.setdefault(model.name, []).append(cut)
    found.high.setdefault(model.name, np.zeros(n, dtype=bool))[rows] = rating.risk > cut


def _means(name: str, repeats: list[list[Numbers]], settings: AnalysisConfig) -> dict[str, Estimate]:
    there = [folds for folds in repeats if any(name in fold for fold in folds)]
    metrics = next(list(fold[name]) for folds in there for fold in folds if name in fold)
    return {
        metric: over_repeats(
            metric, [[fold.get(name, {}).get(metric) for fold in folds] for folds in there], settings.seed
        )
        for metric in metrics
    }


def over_repeats(metric: str, repeats: Sequence[Sequence[Estimate | None]], seed: int) -> Estimate:
    """Mean over repeats of the mean over folds.

    The interval takes the judges of the folds of one repeat for independent, given the fitted models; repeats judge
    the same patients again and do not make it narrower.

    Parameters
    ----------
    metric : str
        Its name, for the method.
    repeats : sequence of sequence of Estimate or None
        By repeat and fold.
    seed : int
        Of the first repeat; each further one adds 1.

    Returns
    -------
    Estimate
        ``n`` and ``events`` of one repeat.
    """
    means = [average(metric, folds) for folds in repeats]
    values = [mean.value for mean in means if mean.value is not None]
    n, events = means[0].n, means[0].events
    folds = [fold for repeat in repeats for fold in repeat]
    scored = [fold.value for fold in folds if fold is not None and fold.value is not None]
    if not values:
        why = next((fold.method for fold in folds if fold is not None), "no fold has a model")
        return Estimate(None, None, None, n, events, f"mean {metric} over folds not estimated: {why}")
    value = float(np.mean(values))
    method = f"mean of {len(scored)} of {len(folds)} folds"
    if len(repeats) > 1:
        listed = ", ".join(f"{one:.3f}" for one in values)
        method += f" in {len(repeats)} repeats (seeds {seed} to {seed + len(repeats) - 1}; {listed})"
    if len(scored) > 1:
        method += f", SD of the folds {np.std(scored, ddof=1):.3f}"
    errors = [fold.standard_error for fold in folds if fold is not None and fold.standard_error is not None]
    if len(errors) < len(folds):
        return Estimate(value, None, None, n, events, f"{method}; no interval: not every fold has one")
    squares = np.square(errors).reshape(len(repeats), -1)
    error = float(np.mean(np.sqrt(squares.sum(axis=1)) / squares.shape[1]))
    low, high = _bounds(metric)
    method += "; 95 % interval from the folds' own variances, given the fitted models"
    return Estimate(value, max(low, value - Z * error), min(high, value + Z * error), n, events, method, error)


def _bounds(metric: str) -> tuple[float, float]:
    """What the metric cannot leave; slopes and intercepts of a calibration can be any number."""
    if metric.startswith(("calibration", "net")):
        return -np.inf, np.inf
    return (-np.inf, 1.0) if metric.startswith("brier_scaled") else (0.0, 1.0)
