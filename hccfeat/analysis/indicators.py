"""The fixed PPS risk beside clinical indicators: discrimination on the same judges (P1, Fig 6A and S10)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.crossval import average
from hccfeat.analysis.data import Population
from hccfeat.analysis.models import CLINICAL, INTEGRATED, PPS, fit_clinical, usable_indicators
from hccfeat.analysis.prognosis import RatedPatients
from hccfeat.analysis.results import EndpointResult
from hccfeat.config import AnalysisConfig
from hccfeat.stats.concordance import concordance
from hccfeat.stats.delong import paired_delong
from hccfeat.stats.discrimination import auroc
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.resampling import bootstrap, percentile_interval
from hccfeat.stats.survival import weighted_harrell

FOLDS = 5


@dataclass(frozen=True)
class FoldedScore:
    """AUROC of one score: in each fold, their mean, over all patients at once, and how far PPS is ahead.

    ``lead`` is the AUROC of the PPS risk minus this one on the patients who have both; None for PPS itself.
    """

    name: str
    folds: tuple[Estimate, ...]
    mean: Estimate
    pooled: Estimate
    lead: Estimate | None

    @property
    def values(self) -> list[float]:
        """AUROC of the folds that have one."""
        return [fold.value for fold in self.folds if fold.value is not None]


def stratified_folds(y: NDArray[np.float64], folds: int, seed: int) -> NDArray[np.int64]:
    """Deal the patients of each class out to folds, in an order drawn with the seed.

    Parameters
    ----------
    y : ndarray of 0/1 (n,)
        Label.
    folds : int
        Number of folds; a class with fewer patients leaves some of them without it.
    seed : int
        Of the draw.

    Returns
    -------
    ndarray of int64 (n,)
        Fold of each patient, from 0; sizes of folds, and of a class in them, differ by at most one.
    """
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(np.flatnonzero(y == value)) for value in (1.0, 0.0)])
    found = np.empty(len(y), dtype=np.int64)
    found[order] = np.arange(len(y)) % folds
    return found


def five_fold(judges: RatedPatients, settings: AnalysisConfig, folds: int = FOLDS) -> list[FoldedScore]:
    """Compare indicators, logistic models and the PPS risk fold by fold (P1, Fig 6A; P1 reading 34).

    The PPS risk and the indicators are fixed, so that folds only show their spread; higher indicators mean
    higher risk, which is decided beforehand. The two logistic models are fitted in the other folds of the
    judges, with medians and scaling from there. A fold of one class has no AUROC.

    Parameters
    ----------
    judges : RatedPatients
        Those without a label are left out.
    settings : AnalysisConfig
        Seed of the folds.
    folds : int
        Number of folds.

    Returns
    -------
    list of FoldedScore
        The indicators in their order, the clinical and the integrated logistic model, and PPS.
    """
    known = judges.take(judges.patients.labelled)
    fold = stratified_folds(known.patients.y, folds, settings.seed)
    scores = {name: known.patients.indicators[:, k] for k, name in enumerate(known.patients.indicator_names)}
    if scores:
        scores[CLINICAL] = out_of_fold(known.patients, fold)
        scores[INTEGRATED] = out_of_fold(_with_risk(known), fold)
    scores[PPS] = known.risk
    return [_folded(name, known, score, fold, folds) for name, score in scores.items()]


def out_of_fold(patients: Population, fold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability of each patient (n,) by a clinical logistic model fitted on the other folds.

    NaN where the other folds have one class or no indicator that varies.
    """
    found = np.full(len(patients), np.nan)
    for number in np.unique(fold):
        inside = fold == number
        train = patients.take(~inside)
        columns = usable_indicators(train)
        if columns and len(np.unique(train.y)) == 2:
            found[inside] = fit_clinical(train, columns).predict(patients.take(inside))
    return found


def _with_risk(judges: RatedPatients) -> Population:
    """The patients with their PPS risk as a further indicator, for the integrated model."""
    patients = judges.patients
    return replace(
        patients,
        indicators=np.column_stack([patients.indicators, judges.risk]),
        indicator_names=[*patients.indicator_names, PPS],
    )


def _folded(
    name: str, judges: RatedPatients, score: NDArray[np.float64], fold: NDArray[np.int64], folds: int
) -> FoldedScore:
    y, have = judges.patients.y, ~np.isnan(score)
    parts = tuple(auroc(y[have & (fold == k)], score[have & (fold == k)]) for k in range(folds))
    pooled = auroc(y[have], score[have])
    if name in (CLINICAL, INTEGRATED):
        pooled = replace(pooled, method=f"{pooled.method}; probabilities of {folds} fits on one scale")
    lead = None if name == PPS else paired_delong(y[have], score[have], judges.risk[have]).difference
    return FoldedScore(name, parts, average("auroc", parts), pooled, lead)


@dataclass(frozen=True)
class Concordance:
    """Harrell's C of one score, and that of the PPS risk minus it on the same patients (None for PPS)."""

    name: str
    c_index: Estimate
    lead: Estimate | None


def concordances(
    judges: RatedPatients, models: Mapping[str, NDArray[np.float64]], settings: AnalysisConfig
) -> list[Concordance]:
    """Harrell's C of the PPS risk, of each indicator and of other models' risks (P1, Fig S10).

    Parameters
    ----------
    judges : RatedPatients
        Those with a follow-up time count, each row on those who have the score.
    models : mapping
        Further risks by model name, (n,) each, NaN where there is none.
    settings : AnalysisConfig
        Bootstraps and seed of the difference.
    """
    patients = judges.patients
    columns = {name: patients.indicators[:, k] for k, name in enumerate(patients.indicator_names)}
    found = []
    draw = {"resamples": settings.bootstraps, "seed": settings.seed}
    for name, score in [(PPS, judges.risk), *columns.items(), *models.items()]:
        keep = patients.followed & ~np.isnan(score)
        time, event = patients.time[keep], patients.event[keep]
        alone = concordance(time, event, score[keep]).estimate()
        lead = None if name == PPS else _concordance_lead(time, event, judges.risk[keep], score[keep], **draw)
        found.append(Concordance(name, alone, lead))
    return found


def _concordance_lead(
    time: NDArray[np.float64],
    event: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    resamples: int,
    seed: int,
) -> Estimate:
    n, events = len(time), int(event.sum())
    one, two = weighted_harrell(time, event, first), weighted_harrell(time, event, second)
    value = float(one(np.ones((1, n)))[0] - two(np.ones((1, n)))[0]) if n else float("nan")
    if np.isnan(value):
        return Estimate(None, None, None, n, events, "difference of C not estimated: no comparable pair")
    replicates = bootstrap(lambda weights: one(weights) - two(weights), n, resamples, seed)
    lower, upper, note = percentile_interval(replicates)
    return Estimate(value, lower, upper, n, events, f"difference of C; paired {note}")


def model_risks(
    judges: RatedPatients, result: EndpointResult, names: Sequence[str] = (CLINICAL, INTEGRATED)
) -> dict[str, NDArray[np.float64]]:
    """Risks (n,) of the judges by models that were fitted on training patients; without those not fitted."""
    patients = judges.patients
    found: dict[str, dict[str, float]] = {}
    for row in result.predictions:
        if (row.split, row.cohort) == (patients.split, patients.cohort):
            found.setdefault(row.model, {})[row.patient_id] = row.risk
    return {
        name: np.array([found[name].get(patient, np.nan) for patient in patients.ids])
        for name in names
        if name in found
    }
