"""Models judged within groups of patients: discrimination, and observed over expected risk, level by level."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.judge_metrics import too_few
from hccfeat.analysis.judged_risks import JudgedRisks, judged_risks
from hccfeat.analysis.results import EndpointResult, Notice, Prediction, SplitRole, SubgroupMetric
from hccfeat.cohort.descriptions import Variable
from hccfeat.errors import ConfigError
from hccfeat.stats.calibration import calibration, survival_calibration
from hccfeat.stats.concordance import concordance
from hccfeat.stats.discrimination import auroc
from hccfeat.stats.estimate import Estimate, count
from hccfeat.stats.intervals import normal_estimate
from hccfeat.stats.survival import FEW_EVENTS

NOT_RECORDED = "not recorded"
RATIO = "observed_expected"
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def patient_groups(
    table: pl.DataFrame, items: Sequence[str], variables: Mapping[str, Variable], learners: Iterable[str]
) -> pl.DataFrame:
    """Group patients by clinical variables: by their levels, numbers by two.

    A number is split at the cut point of the data dictionary, where it has none at the median of those who train.

    Parameters
    ----------
    table : polars.DataFrame
        One row per patient: ``patient_id`` and the catalog's columns of table ``clinical``.
    items : sequence of str
        Variables of the data dictionary.
    variables : mapping
        The data dictionary's.
    learners : iterable of str
        Ids of those who train.

    Returns
    -------
    polars.DataFrame
        ``patient_id`` and a column of level names (String) per item.

    Raises
    ------
    ConfigError
        If an item is no variable of the data dictionary.
    """
    if unknown := [item for item in items if item not in variables]:
        problem = f"[analysis] subgroups names {', '.join(unknown)}, unknown to the data dictionary"
        raise ConfigError("hccfeat.toml", problem, "Use names of docs/data-dictionary.md, such as sex and age.")
    train = table.filter(pl.col("patient_id").is_in(list(learners)))
    levels = [
        _levels(table[item], variables[item], train[item]).fill_null(NOT_RECORDED).alias(item)
        if item in table.columns
        else pl.Series(item, [NOT_RECORDED] * table.height, dtype=pl.String)
        for item in items
    ]
    return table.select("patient_id").with_columns(levels)


def _levels(values: pl.Series, variable: Variable, train: pl.Series) -> pl.Series:
    if variable.type == "flag":
        return values.replace_strict({True: "yes", False: "no"}, default=None, return_dtype=pl.String)
    if variable.type != "number":
        return values.cast(pl.String)
    known = train.drop_nulls().to_numpy()
    if variable.cut is None and not len(known):
        return pl.Series(values.name, [None] * len(values), dtype=pl.String)
    cut = variable.cut if variable.cut is not None else float(np.median(known))
    unit = f" {variable.printed_unit}".rstrip()
    names = {False: f"≤ {cut:g}{unit}", True: f"> {cut:g}{unit}"}
    return (values > cut).replace_strict(names, default=None, return_dtype=pl.String)


def add_subgroups(
    result: EndpointResult,
    data: EndpointData,
    predictions: Sequence[Prediction],
    folds: Mapping[str, int] | None = None,
) -> None:
    """Add what judged models are worth in every group: Harrell's C (AUROC where there is no time), and O/E.

    O/E is the observed over the mean predicted risk, of models that give a probability: by the endpoint's horizon
    under censoring, else of the label. A group with fewer than 5 events (of AUROC and O/E, fewer than 5 of a class)
    gets no figure, and of discrimination a notice. Groups are not tested against each other. Nothing is done for an
    endpoint without groups.

    Parameters
    ----------
    result : EndpointResult
        Is added to.
    data : EndpointData
        Outcomes and groups of the patients.
    predictions : sequence of Prediction
        Apparent ones are passed over.
    folds : mapping, optional
        Patient -> fold of a cross-validation, where only patients of one fold are compared (probabilities are on
        one scale); without it its predictions are passed over.
    """
    if data.groups is None:
        return
    for judged in judged_risks(data, predictions, folds):
        withheld: dict[str, None] = {}
        for item, level, members in _members(data.groups, judged.ids):
            for model in judged.risks:
                metric, found, reason = _discrimination(judged, model, members)
                result.subgroups.append(_row(judged.cohort, judged.split, model, item, level, metric, found))
                if reason:
                    withheld[f"{item} {level}: {reason}"] = None
                if model in judged.probabilities:
                    ratio = _observed_expected(judged, judged.probabilities[model], members)
                    result.subgroups.append(_row(judged.cohort, judged.split, model, item, level, RATIO, ratio))
        if withheld:
            who = f"{judged.split.replace('_', '-')} patients of cohort {judged.cohort}"
            text = f"{who}, by group. {'; '.join(withheld)}. No figure of these groups is given."
            title = f"Too few events in groups of cohort {judged.cohort}"
            result.notices.append(Notice("caution", title, text, "few_events"))


def _members(groups: pl.DataFrame, ids: Sequence[str]) -> Iterator[tuple[str, str, Mask]]:
    """Item, level and who is in it (n,), levels in order, that of the missing last."""
    mine = pl.DataFrame({"patient_id": ids}, schema={"patient_id": pl.String}).join(
        groups, on="patient_id", how="left", maintain_order="left"
    )
    for item in groups.columns[1:]:
        levels = mine[item].fill_null(NOT_RECORDED)
        for level in sorted(levels.unique(), key=lambda one: (one == NOT_RECORDED, one.startswith(">"), one)):
            yield item, level, (levels == level).to_numpy()


def _discrimination(judged: JudgedRisks, model: str, members: Mask) -> tuple[str, Estimate, str]:
    """Metric, its estimate, and why there is none."""
    metric, name = ("c_index", "Harrell's C") if judged.timed else ("auroc", "AUROC")
    risk = judged.risks[model]
    keep = members & ~np.isnan(risk) & (judged.followed if judged.timed else judged.labelled)
    event = (judged.event if judged.timed else judged.y)[keep]
    n, events = len(event), int(event.sum())
    few = f"only {count(events, 'event')} (fewer than {FEW_EVENTS})" if events < FEW_EVENTS else ""
    if reason := few if judged.timed else too_few(n, events):
        return metric, _none(name, n, events, reason), reason
    if len(np.unique(judged.fold)) > 1:
        # A label is a time too: the event at 1, nothing by 2.
        time = judged.time[keep] if judged.timed else 2.0 - event
        return metric, _within_folds(name, time, event, risk[keep], judged.fold[keep]), ""
    if judged.timed:
        return metric, concordance(judged.time[keep], event, risk[keep]).estimate(), ""
    return metric, auroc(event, risk[keep]), ""


def _within_folds(name: str, time: Floats, event: Floats, risk: Floats, fold: NDArray[np.int64]) -> Estimate:
    """Concordance of all comparable pairs inside folds, because risks of different folds are on different scales.

    The mean of the folds' concordances weighted by their pairs, as R's ``concordance`` with strata; its variance
    takes the weights as given.
    """
    parts = [concordance(time[rows], event[rows], risk[rows]) for rows in (fold == k for k in np.unique(fold))]
    known = [part for part in parts if part.value is not None]
    n, events = len(event), int(event.sum())
    if not known:
        return _none(name, n, events, "no comparable pair of patients inside a fold")
    pairs = np.array([part.concordant + part.discordant + part.tied for part in known])
    value = float(np.average([part.value or 0.0 for part in known], weights=pairs))
    errors = np.array([part.standard_error or 0.0 for part in known])
    error = float(np.sqrt(np.square(pairs * errors).sum()) / pairs.sum())
    note = "95 % interval from the influence functions, given the fitted models"
    return normal_estimate(value, error, n, events, f"{name} of pairs inside folds", note, (0.0, 1.0))


def _observed_expected(judged: JudgedRisks, probability: Floats, members: Mask) -> Estimate:
    name, when = "observed over expected risk", judged.horizon if judged.timed else None
    keep = members & ~np.isnan(probability) & (judged.labelled if when is None else judged.followed)
    y, months, recurred = judged.y[keep], judged.months[keep], judged.recurred[keep]
    event = y == 1 if when is None else (recurred == 1) & (months <= when)
    n, events = len(event), int(event.sum())
    if reason := too_few(n, events):
        return _none(name, n, events, reason)
    if when is None:
        ratio = calibration(y, probability[keep]).ratio
    elif (months > when).sum() < 2:
        return _none(name, n, events, f"fewer than two patients are followed beyond {when:g} months")
    else:
        ratio = survival_calibration(months, recurred, probability[keep], when).ratio
    folds = "; out-of-fold probabilities" if len(np.unique(judged.fold)) > 1 else ""
    return replace(ratio, method=ratio.method + folds)


def _none(name: str, n: int, events: int, reason: str) -> Estimate:
    return Estimate(None, None, None, n, events, f"{name} not estimated: {reason}")


def _row(
    cohort: str, split: SplitRole, model: str, item: str, level: str, metric: str, e: Estimate
) -> SubgroupMetric:
    numbers = (e.value, e.lower, e.upper, e.n, e.events, e.method)
    return SubgroupMetric(cohort, split, model, item, level, metric, *numbers)
