"""Scores of the subset study: cross-validation, final encoders, train-by-test matrix, equal-size validation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.analysis.judges import EVERYBODY, GROUPS, NOT_RUN, UNITS, Bench, Group, Level
from hccfeat.analysis.results import SplitRole
from hccfeat.extraction.cells import Cell
from hccfeat.stats.clustered import (
    Judged,
    Score,
    clustered,
    fold_draws,
    judged,
    mean_over_folds,
    paired_difference,
    weighted_score,
)
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.resampling import percentile_interval
from hccfeat.training.labels import SUBSETS

ENDPOINT = "recurrence"


@dataclass(frozen=True)
class Scored:
    """One score of one model trained on one subset.

    Attributes
    ----------
    model, subset : str
        The encoder.
    judges : str
        On whom, in words.
    split, cohort : str
        ``cross_validation``, ``held_out`` or ``external``, and the judges' cohort.
    level, score : str
        ``patch``, ``image`` or ``patient``; ``auroc``, ``accuracy`` or ``average_precision``.
    estimate : Estimate or None
        None if no encoder was run; ``reason`` then says why.
    folds : tuple of float or None
        Value of each fold that was run.
    sd : float or None
        Over these folds.
    reason : str
        Why there is no estimate, or which folds are missing although planned.
    name : str
        Of the score, where it is not ``score``.
    """

    model: str
    subset: str
    judges: str
    split: SplitRole
    cohort: str
    level: Level
    score: Score
    estimate: Estimate | None
    folds: tuple[float | None, ...] = ()
    sd: float | None = None
    reason: str = ""
    name: str = ""

    @property
    def value(self) -> float | None:
        """The number itself."""
        return None if self.estimate is None else self.estimate.value

    def row(self) -> dict[str, Any]:
        """The unrounded numbers, with the columns of the catalog's table ``metric`` first."""
        found = self.estimate
        return {
            "endpoint": ENDPOINT,
            "cohort": self.cohort,
            "split": self.split,
            "model": f"{self.model}, trained on {self.subset}",
            "metric": f"{self.name or self.score} ({UNITS[self.level]})",
            "estimate": self.value,
            "lower": None if found is None else found.lower,
            "upper": None if found is None else found.upper,
            "n": None if found is None else found.n,
            "events": None if found is None else found.events,
            "method": f"{self.reason if found is None else found.method}; judged on {self.judges}",
            "standard_error": None if found is None else found.standard_error,
            "sd_over_folds": self.sd,
            "folds_run": len(self.folds) or None,
            "subset": self.subset,
        }


def cross_validated(
    bench: Bench,
    model: str,
    subset: str,
    level: Level,
    score: Score = "auroc",
    judged_on: str | None = None,
    parts: Sequence[str] | None = None,
) -> Scored:
    """Mean over folds of a score; each encoder is judged on the fold it has not seen (P1, Table 2, Fig 2A).

    Parameters
    ----------
    bench : Bench
        Encoders and judges.
    model, subset : str
        Which encoders.
    level, score : str
        What is scored.
    judged_on : str, optional
        Subset whose members judge; the encoder's own if not given, as in the paper.
    parts : sequence of str, optional
        Only these folds.
    """
    own = judged_on or subset
    who = "all patients of each fold" if own == EVERYBODY else f"the members of subset {own} in each fold"
    folds, reason = bench.of_folds(model, subset, level, own)
    folds = {part: fold for part, fold in folds.items() if parts is None or part in parts}
    nothing = Scored(model, subset, who, "cross_validation", bench.internal, level, score, None, reason=reason)
    if not folds:
        return nothing
    found = mean_over_folds(
        list(folds.values()), score, resamples=bench.resamples, seed=bench.seed, threshold=bench.threshold
    )
    return replace(nothing, estimate=found.estimate, folds=found.folds, sd=found.sd)


def final_score(
    bench: Bench, model: str, subset: str, group: Group, level: Level, score: Score = "auroc"
) -> Scored:
    """Score of the encoder of all folds on a group that it has not seen."""
    own = group in ("test", "held_out")
    split: SplitRole = "held_out" if own else "external"
    cohort = bench.internal if own else bench.external
    who = f"the {GROUPS[group]}" + (f" {subset}" if group == "test" else "")
    found = bench.of_final(model, subset, group, level)
    if isinstance(found, str):
        return Scored(model, subset, who, split, cohort, level, score, None, reason=found)
    estimate = clustered(found, score, resamples=bench.resamples, seed=bench.seed, threshold=bench.threshold)
    return Scored(model, subset, who, split, cohort, level, score, estimate)


def mean_over_subsets(bench: Bench, model: str, level: Level, subsets: Sequence[str] = SUBSETS) -> Scored:
    """Mean of the cross-validated AUROC over subsets, all judged on their own members, resampled together.

    Only given where every subset has every fold that any of them has: a mean over fewer is another number.
    """
    who = f"the members of each of {len(subsets)} subsets in each fold"
    runs = [bench.of_folds(model, subset, level, together=True)[0] for subset in subsets]
    nothing = Scored(model, "all", who, "cross_validation", bench.internal, level, "auroc", None, reason=NOT_RUN)
    if not runs or not runs[0] or any(set(run) != set(runs[0]) for run in runs):
        return nothing
    means, draws = [], []
    for run in runs:
        values, replicates = fold_draws(list(run.values()), "auroc", resamples=bench.resamples, seed=bench.seed)
        if replicates is None:
            return replace(nothing, reason="a subset has folds of one class only")
        means.append(float(np.mean([value for value in values if value is not None])))
        draws.append(replicates)
    lower, upper, note = percentile_interval(np.mean(draws, axis=0))
    n = max(sum(fold.n for fold in run.values()) for run in runs)
    events = max(sum(fold.events for fold in run.values()) for run in runs)
    method = f"AUROC of {UNITS[level]}, mean over {len(subsets)} subsets and {len(runs[0])} folds; {note}"
    estimate = Estimate(float(np.mean(means)), lower, upper, n, events, method)
    return replace(nothing, estimate=estimate, folds=(None,) * len(runs[0]), reason="")


def difference_between(
    bench: Bench, first: str, second: str, subset: str, level: Level, score: Score = "auroc"
) -> Scored:
    """First model minus second on the folds that both were run on, patients resampled together."""
    one, reason = bench.of_folds(first, subset, level)
    other, other_reason = bench.of_folds(second, subset, level)
    common = [part for part in one if part in other]
    who, name = f"the members of subset {subset} in each fold", f"{first} minus {second}"
    nothing = Scored(
        name, subset, who, "cross_validation", bench.internal, level, score, None, reason=reason or other_reason
    )
    if not common:
        return nothing
    estimate = paired_difference(
        [one[part] for part in common],
        [other[part] for part in common],
        score,
        resamples=bench.resamples,
        seed=bench.seed,
        threshold=bench.threshold,
    )
    return replace(nothing, estimate=estimate, folds=(None,) * len(common))


@dataclass(frozen=True)
class EqualSize:
    """Cross-validated AUROC with every validation set cut to the size of the smallest subset's.

    Attributes
    ----------
    subset : str
        Of the encoders and their judges.
    mean, lower, upper : float or None
        Mean over the draws, and the range that holds 95 % of them: the spread of drawing, not of patients. A fold
        whose drawn images have one class is left out of that draw's mean.
    images : tuple of int
        Images judged in each fold.
    draws, lost : int
        Draws made, and those of one class in every fold.
    n, events : int
        Patients drawn from, and those who relapsed.
    reason : str
        Why there is no number.
    """

    subset: str
    mean: float | None
    lower: float | None
    upper: float | None
    images: tuple[int, ...]
    draws: int
    lost: int
    n: int
    events: int
    reason: str = ""


def equal_size(bench: Bench, model: str, subset: str, level: Level = "patch", draws: int = 200) -> EqualSize:
    """Judge each fold on as many images as subset 1/4 has there, drawn anew many times (released code of P1).

    Parameters
    ----------
    bench : Bench
        Encoders and judges.
    model, subset : str
        Which encoders.
    level : {"patch", "image"}
        What is scored.
    draws : int
        Times that images are drawn without replacement; the mean over folds is taken in each.
    """
    totals = np.zeros(draws)
    counts = np.zeros(draws)
    sizes: list[int] = []
    n = events = 0
    reason = NOT_RUN
    for k, part in enumerate(bench.folds):
        cell = bench.cell(model, subset, part)
        if isinstance(cell, str):
            reason = cell
            continue
        own = bench.of_folds(model, subset, level)[0][part]
        small = bench.judges.of_fold(part, SUBSETS[0])
        size = int(cell.images["patient_id"].is_in(sorted(small)).sum())
        n, events = n + own.n, events + own.events
        sizes.append(size)
        values = _drawn(_by_image(bench, cell, part, subset, level), size, draws, bench.seed + k)
        known = np.isfinite(values)
        totals += np.where(known, values, 0.0)
        counts += known
    found = totals[counts > 0] / counts[counts > 0]
    lost = draws - len(found)
    if not len(found):
        why = reason if not sizes else "every draw has one class"
        return EqualSize(subset, None, None, None, tuple(sizes), draws, lost, n, events, why)
    lower, upper = (float(q) for q in np.percentile(found, [2.5, 97.5]))
    return EqualSize(subset, float(found.mean()), lower, upper, tuple(sizes), draws, lost, n, events)


def _by_image(bench: Bench, cell: Cell, part: str, subset: str, level: Level) -> Judged:
    """Predictions of a fold's members grouped by image, so that images are drawn."""
    who = sorted(bench.judges.of_fold(part, subset))
    frame = (cell.patches if level == "patch" else cell.images).filter(pl.col("patient_id").is_in(who))
    labels = [bench.judges.relapsed[patient] for patient in frame["patient_id"]]
    return judged(labels, frame["probability"].to_numpy(), frame["image_id"].to_list(), UNITS[level])


def _drawn(found: Judged, size: int, draws: int, seed: int) -> NDArray[np.float64]:
    images = len(found.patients)
    if not images or not size:
        return np.full(draws, np.nan)
    order = np.argsort(np.random.default_rng(seed).random((draws, images)), axis=1)[:, :size]
    weights = np.zeros((draws, images))
    np.put_along_axis(weights, order, 1.0, axis=1)
    return weighted_score(found, "auroc")(weights)
