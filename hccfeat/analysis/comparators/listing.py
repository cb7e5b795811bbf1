"""The comparators beside the prognostic network, one function each, and the fitting of those asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hccfeat.analysis.comparators.attention import ATTENTION_MIL, fit_attention, remembered
from hccfeat.analysis.comparators.inputs import Training
from hccfeat.analysis.comparators.registry import Comparator, grid, listed, listed_grid
from hccfeat.analysis.comparators.survival import (
    COX,
    COXNET,
    FOREST,
    XGBOOST_COX,
    fit_cox,
    fit_coxnet,
    fit_forest,
    fit_xgboost_cox,
)
from hccfeat.analysis.comparators.tuning import choose, work
from hccfeat.analysis.data import EndpointData, Population
from hccfeat.analysis.models import FittedModel
from hccfeat.analysis.results import ConditionKind, Notice
from hccfeat.errors import AnalysisError
from hccfeat.progress import Advance, progress_bar
from hccfeat.stats.cox import TIES
from hccfeat.stats.estimate import count
from hccfeat.stats.risksets import Ties
from hccfeat.stats.survival import FEW_EVENTS

COMPARATORS: Mapping[str, Comparator] = {
    "cox": Comparator(COX, "Cox regression on indicators", fit_cox, survival=True),
    "coxnet": Comparator(COXNET, "Coxnet", fit_coxnet, True, grid(l1_share=(0.5, 1.0))),
    "forest": Comparator(FOREST, "random survival forest", fit_forest, True, grid(trees=(100,), leaf=(15, 5, 30))),
    "xgboost-cox": Comparator(
        XGBOOST_COX,
        "xgboost on Cox's likelihood",
        fit_xgboost_cox,
        True,
        grid(depth=(3, 1, 2), eta=(0.1,), trees=(100, 30)),
    ),
    "mil": Comparator(
        ATTENTION_MIL, "attention MIL", fit_attention, False, grid(weight_decay=(0.01, 0.1), epochs=(30, 15))
    ),
}
"""Comparators by the name that ``--comparators`` takes."""
DEFAULT = ("cox", "coxnet", "forest", "xgboost-cox")


@dataclass(frozen=True)
class ComparatorOptions:
    """Which comparators are fitted, and whether their settings are tuned inside the training patients."""

    names: tuple[str, ...] = DEFAULT
    tune: bool = False


def fit_comparators(
    everyone: Population, data: EndpointData, options: ComparatorOptions, seed: int, ties: Ties = TIES
) -> tuple[list[FittedModel], list[Notice]]:
    """Fit the comparators asked for on training patients.

    Parameters
    ----------
    everyone : Population
        Training patients, labelled or not: survival comparators learn from all with a follow-up time.
    data : EndpointData
        Horizon at which the times of ``everyone`` were cut, and the patch vectors for attention MIL.
    options : ComparatorOptions
        Which, and whether tuned.
    seed : int
        Of trees, networks and inner folds.
    ties : {"efron", "breslow"}
        Of Cox regression; penalised ones have Breslow's.

    Returns
    -------
    (list of FittedModel, list of Notice)
        In the order of the list, and one notice that names those not fitted and why.
    """
    parts: list[tuple[Comparator, Training]] = []
    missed: dict[str, list[str]] = {}
    kind: ConditionKind | None = None
    for name, comparator in COMPARATORS.items():
        if name not in options.names:
            continue
        keep = everyone.followed if comparator.survival else everyone.labelled
        train = Training(everyone.take(keep), data.horizon_months, seed, data.bags, ties)
        if reason := _reason_against(comparator, train):
            missed.setdefault(reason, []).append(comparator.title)
            kind = "few_events" if "fewer than" in reason else kind
        else:
            parts.append((comparator, train))
    models = []
    with progress_bar("Tuning", sum(work(*part) for part in parts) if options.tune else 0) as advance:
        for comparator, train in parts:
            try:
                models.append(_fitted(comparator, train, advance if options.tune else None))
            except AnalysisError as error:
                missed.setdefault(str(error), []).append(comparator.title)
    if not missed:
        return models, []
    text = " ".join(f"{', '.join(titles)}: {reason.rstrip('.')}." for reason, titles in missed.items())
    return models, [Notice("info", "Comparators not fitted", text, kind)]


def _reason_against(comparator: Comparator, train: Training) -> str:
    if not comparator.survival:
        return "" if train.bags is not None else "there are no patch vectors in this analysis"
    if not len(train.patients):
        return "no training patient has a follow-up time"
    events = int(train.events.sum())
    if events < FEW_EVENTS:
        return (
            f"only {count(events, 'event')} among {len(train.patients)} training patients (fewer than {FEW_EVENTS})"
        )
    return ""


def _fitted(comparator: Comparator, train: Training, advance: Advance | None) -> FittedModel:
    """The model with a description that names its settings, how they were found, and its patients."""
    settings, chosen, how = comparator.grid[0], "", ""
    if advance is not None and len(comparator.grid) > 1:
        if train.bags is not None and not comparator.survival:
            train = replace(train, bags=remembered(train.bags, train.patients.ids))
        choice = choose(comparator, train, advance)
        settings = choice.settings
        score = "Harrell's C" if comparator.survival else "AUROC"
        how = f", tuned by {score} in {choice.folds} inner folds by patient: {listed_grid(comparator.grid)}"
        chosen = f", chosen {listed(settings)}"
        chosen += " without a score" if choice.score is None else f" ({score} {choice.score:.3f} inside)"
    elif settings:
        how = f", {listed(settings)}"
    model = comparator.fit(train, settings)
    if comparator.survival and train.horizon is not None:
        how += f", follow-up cut at {train.horizon:g} months"
    events = int(train.events.sum() if comparator.survival else train.patients.y.sum())
    fitted = f"fitted on {len(train.patients)} patients with {events} events{chosen}"
    return replace(model, description=f"{model.description}{how}; {fitted}")
