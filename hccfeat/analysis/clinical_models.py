"""Clinical models where indicators are missing: complete cases, and predictions averaged over imputations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.data import Population
from hccfeat.analysis.imputed import Imputed, impute
from hccfeat.analysis.models import CLINICAL, FittedModel, usable_indicators
from hccfeat.analysis.regressions import COX_CLINICAL, NOT_FITTED, Regression, regressions
from hccfeat.analysis.results import Notice
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.cox import TIES
from hccfeat.stats.risksets import Ties

Floats = NDArray[np.float64]
Treatment = Literal["complete", "multiple"]
"""Of missing indicators: leave the patients out, or impute several times."""
IMPUTED = "_imputed"
"""Ending of the names of models that learn from imputed indicators."""


def complete(patients: Population) -> NDArray[np.bool_]:
    """Who has every indicator (n,)."""
    return np.asarray(~np.isnan(patients.indicators).any(axis=1))


def judged_by(model: FittedModel, patients: Population) -> NDArray[np.bool_]:
    """Whom a model can judge (n,): those with every indicator where it learnt from complete cases."""
    if model.name in (CLINICAL, COX_CLINICAL):
        return complete(patients)
    return np.ones(len(patients), dtype=bool)


def treatments(patients: Population, settings: AnalysisConfig) -> tuple[Treatment, ...]:
    """What is done about missing indicators in a cohort: as the settings ask, or nothing where none is missing."""
    if complete(patients).all():
        return ("complete",)
    return ("complete", "multiple") if settings.missing == "both" else (settings.missing,)


def treatment_of(model: FittedModel) -> Treatment:
    """Treatment of missing indicators behind a model of :func:`fit_regressions`."""
    return "multiple" if model.name.endswith(IMPUTED) else "complete"


def fit_regressions(
    train: Population,
    chosen: Sequence[Treatment],
    *,
    horizon: float | None,
    timed: bool,
    imputations: int,
    seed: int,
    ties: Ties = TIES,
) -> tuple[list[FittedModel], dict[str, str]]:
    """Fit logistic and Cox regression to complete cases, to imputed patients, or both.

    Parameters
    ----------
    train : Population
        All training patients; nobody else is read.
    chosen : sequence of {"complete", "multiple"}
        Of the whole cohort; see :func:`treatments`.
    horizon : float or None
        Of the endpoint.
    timed : bool
        Whether the endpoint has a follow-up time.
    imputations, seed : int
        Of the imputation.
    ties : {"efron", "breslow"}
        Of Cox regression.

    Returns
    -------
    (list of FittedModel, dict)
        The models, and why each other one could not be fitted.
    """
    models: list[FittedModel] = []
    problems: dict[str, str] = {}
    fits: dict[str, Callable[[], FittedModel]] = {}
    kinds = regressions(timed=timed, ties=ties)
    if "complete" in chosen:
        fits |= {one.name: partial(fit_complete, one, train, horizon) for one in kinds}
    if "multiple" in chosen:
        known = train.take(train.followed | train.labelled)
        try:
            imputed = impute(known, usable_indicators(known), imputations=imputations, seed=seed)
        except AnalysisError as error:
            problems |= {one.name + IMPUTED: str(error) for one in kinds}
        else:
            fits |= {one.name + IMPUTED: partial(fit_imputed, one, known, imputed, horizon) for one in kinds}
    for name, fit in fits.items():
        try:
            models.append(fit())
        except AnalysisError as error:
            problems[name] = str(error)
    return models, problems


def fit_imputed_beside(
    train: Population, settings: AnalysisConfig, *, horizon: float | None, timed: bool
) -> tuple[list[FittedModel], list[Notice]]:
    """Fit the regressions of multiply imputed patients beside models that fill gaps with training medians.

    Parameters
    ----------
    train : Population
        Training patients; nobody else is read, and their gaps alone decide.
    settings : AnalysisConfig
        What is done about missing indicators, imputations and seed.
    horizon : float or None
        Of the endpoint.
    timed : bool
        Whether the endpoint has a follow-up time.

    Returns
    -------
    (list of FittedModel, list of Notice)
        Nothing where no training patient lacks an indicator, or the settings ask for complete cases only.
    """
    if not train.indicator_names or "multiple" not in treatments(train, settings):
        return [], []
    models, problems = fit_regressions(
        train,
        ("multiple",),
        horizon=horizon,
        timed=timed,
        imputations=settings.imputations,
        seed=settings.seed,
        ties=settings.ties,
    )
    return models, not_fitted(f"No imputed model in cohort {train.cohort}", problems)


def not_fitted(title: str, problems: Mapping[str, str]) -> list[Notice]:
    """One caution per model that :func:`fit_regressions` could not fit, of a kind where too few events are why."""
    return [
        Notice(
            "caution",
            title,
            f"{name}: {reason}",
            next((kind for kind, why in NOT_FITTED.items() if why in reason), None),
        )
        for name, reason in problems.items()
    ]


def fit_complete(regression: Regression, train: Population, horizon: float | None) -> FittedModel:
    """Fit the training patients who have every indicator; predicts for such patients only.

    Raises
    ------
    AnalysisError
        If the model cannot be fitted.
    """
    eligible = regression.eligible(train)
    rows = eligible & complete(train)
    lost = int(eligible.sum() - rows.sum())
    if not rows.any():
        raise AnalysisError(f"cohort {train.cohort}", "no patient has every indicator", "Declare fewer indicators.")
    fitted = regression.fit(train.indicators[rows], train.take(rows), horizon)
    probability, risk_by = fitted.probability, fitted.risk_by
    who = f"{int(rows.sum())} complete cases ({lost} {regression.who} patients lack an indicator)"
    return FittedModel(
        regression.name,
        f"{_about(regression, train)}; fitted on {who}{_penalty(int(fitted.firth), 1)}",
        lambda patients: fitted.rank(patients.indicators),
        probability=None if probability is None else lambda patients: probability(patients.indicators),
        risk_by=None if risk_by is None else lambda patients, months: risk_by(patients.indicators, months),
    )


def fit_imputed(regression: Regression, train: Population, imputed: Imputed, horizon: float | None) -> FittedModel:
    """Fit each completed copy of the training patients, and average the predictions.

    Others are completed by what the training patients taught, without their outcomes.

    Parameters
    ----------
    regression : Regression
        What is fitted.
    train : Population
        Those whom ``imputed`` has completed.
    imputed : Imputed
        Of these patients.
    horizon : float or None
        Of the endpoint.

    Raises
    ------
    AnalysisError
        If the model cannot be fitted to one of the copies.
    """
    rows = _eligible(regression, train)
    eligible = train.take(rows)
    fits = [regression.fit(x[rows], eligible, horizon) for x in imputed.completed]

    def mean(functions: list[Callable[..., Floats] | None]) -> Callable[..., Floats] | None:
        known = [function for function in functions if function is not None]
        if len(known) < len(fits):
            return None

        def averaged(patients: Population, *months: Floats) -> Floats:
            copies = imputed.of(patients)
            return np.asarray(np.mean([f(x, *months) for f, x in zip(known, copies, strict=True)], axis=0))

        return averaged

    firth = _penalty(sum(fit.firth for fit in fits), len(fits))
    rank = mean([fit.rank for fit in fits])
    if rank is None:
        raise AnalysisError("clinical model", "has no copy", "Ask for more imputations.")
    return FittedModel(
        regression.name + IMPUTED,
        f"{_about(regression, train)}, predictions averaged over {imputed.times} imputations; fitted on "
        f"{int(rows.sum())} patients{firth}",
        rank,
        reads_indicators=True,
        probability=mean([fit.probability for fit in fits]),
        risk_by=mean([fit.risk_by for fit in fits]),
    )


def _eligible(regression: Regression, train: Population) -> NDArray[np.bool_]:
    rows = regression.eligible(train)
    if not rows.any():
        raise AnalysisError(f"cohort {train.cohort}", f"has no {regression.who} patient", "Ingest its outcomes.")
    return rows


def _about(regression: Regression, train: Population) -> str:
    return f"{regression.what} on {len(train.indicator_names)} raw indicators"


def _penalty(firth: int, fits: int) -> str:
    if not firth:
        return ""
    return f", Firth's penalty because the indicators separate the events in {firth} of {fits} fits"


def resampled(patients: Population, rows: NDArray[np.int64]) -> Population:
    """The patients of some rows, repeated ones included; without images."""
    return replace(
        patients,
        ids=[patients.ids[row] for row in rows],
        time=patients.time[rows],
        event=patients.event[rows],
        y=patients.y[rows],
        indicators=patients.indicators[rows],
        image_vectors=None,
        image_patient=None,
        colour=None,
        months=patients.months[rows],
        recurred=patients.recurred[rows],
        died=patients.died[rows],
    )
