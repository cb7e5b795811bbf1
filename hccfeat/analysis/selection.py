"""Choosing the training subset: by inner cross-validation, by the external patients, or fixed beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.judges import EVERYBODY, UNITS, Bench, Group, Level
from hccfeat.analysis.subsets import Scored, cross_validated, final_score
from hccfeat.stats.clustered import fold_draws
from hccfeat.training.labels import SUBSETS, parse_fraction


@dataclass(frozen=True)
class Candidate:
    """A subset that could be chosen: its score and how often it comes first.

    Attributes
    ----------
    subset : str
        Training subset.
    scored : Scored
        AUROC on judges that are the same for every candidate, with interval and standard error.
    share : float or None
        Share of patient resamples in which it comes first.
    """

    subset: str
    scored: Scored
    share: float | None


@dataclass(frozen=True)
class Choice:
    """What a rule picks.

    Attributes
    ----------
    level : str
        What was scored.
    candidates : tuple of Candidate
        Subsets that were run, in the paper's order.
    chosen : str or None
        The one with the highest AUROC, the larger subset on a tie; None if ``reason`` says why there is none.
    resamples : int
        Resamples in which every candidate had an AUROC.
    reason : str
        Why nothing can be chosen.
    """

    level: Level
    candidates: tuple[Candidate, ...]
    chosen: str | None
    resamples: int
    reason: str = ""


def inner_choice(bench: Bench, model: str, level: Level) -> Choice:
    """Pick the subset whose encoders do best on the same unselected patients of each fold (P1 reading 20).

    Nobody outside the training patients is asked. Only folds that every candidate was run on count.

    Parameters
    ----------
    bench : Bench
        Encoders and judges.
    model : str
        Whose encoders.
    level : {"patch", "image", "patient"}
        What is scored.
    """
    runs = {subset: bench.of_folds(model, subset, level, EVERYBODY)[0] for subset in SUBSETS}
    runs = {subset: run for subset, run in runs.items() if run}
    common = [part for part in bench.folds if all(part in run for run in runs.values())]
    draws = {}
    for subset, run in runs.items():
        folds = [run[part] for part in common]
        draws[subset] = fold_draws(folds, "auroc", resamples=bench.resamples, seed=bench.seed)[1]
    scored = {
        subset: cross_validated(bench, model, subset, level, judged_on=EVERYBODY, parts=common) for subset in runs
    }
    return _pick(level, scored, draws)


def external_choice(bench: Bench, model: str, level: Level, group: Group = "strict") -> Choice:
    """Pick the subset whose final encoder does best on the strict external patients, as the paper did.

    The external patients are then no longer external to the choice.
    """
    runs = {subset: bench.of_final(model, subset, group, level) for subset in SUBSETS}
    draws = {
        subset: fold_draws([run], "auroc", resamples=bench.resamples, seed=bench.seed)[1]
        for subset, run in runs.items()
        if not isinstance(run, str)
    }
    scored = {subset: final_score(bench, model, subset, group, level) for subset in draws}
    return _pick(level, scored, draws)


def shares(draws: Sequence[NDArray[np.float64]]) -> tuple[list[float | None], int]:
    """Share of resamples in which each row comes first, ties shared, over resamples where all rows have a value."""
    table = np.stack(draws)
    table = table[:, np.isfinite(table).all(axis=0)]
    if not table.shape[1]:
        return [None] * len(draws), 0
    first = table == table.max(axis=0)
    return [float(value) for value in (first / first.sum(axis=0)).mean(axis=1)], table.shape[1]


def _pick(level: Level, scored: Mapping[str, Scored], draws: Mapping[str, NDArray[np.float64] | None]) -> Choice:
    usable = {name: drawn for name, drawn in draws.items() if drawn is not None}
    won, resamples = shares(list(usable.values())) if usable else ([], 0)
    share = dict(zip(usable, won, strict=True))
    candidates = tuple(Candidate(subset, found, share.get(subset)) for subset, found in scored.items())
    if len(usable) < 2:
        reason = f"{len(usable)} subset with an AUROC of {UNITS[level]}: nothing to choose from"
        return Choice(level, candidates, None, resamples, reason)
    best = max(usable, key=lambda subset: (scored[subset].value or 0.0, parse_fraction(subset)))
    return Choice(level, candidates, best, resamples)
