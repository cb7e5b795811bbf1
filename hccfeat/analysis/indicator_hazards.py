"""The PPS risk groups inside strata of indicators, and hazard ratios alone and adjusted (P1, Fig 6B-C)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.data import EndpointData, Population
from hccfeat.analysis.hazards import hazard_row, per_sd
from hccfeat.analysis.imputed import PooledModel, impute, pooled_cox
from hccfeat.analysis.judging import judge
from hccfeat.analysis.models import usable_indicators
from hccfeat.analysis.prognosis import RatedPatients
from hccfeat.analysis.results import GroupComparison, HazardRatio
from hccfeat.cohort.descriptions import Variable
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.columns import independent_columns
from hccfeat.stats.cox import CoxModel, cox_multivariable, cox_univariable, likelihood_ratio
from hccfeat.stats.estimate import count
from hccfeat.stats.survival import FEW_EVENTS

HIGH = "PPS risk, high against low"
PER_SD = "PPS risk, per SD"
LEAST_KNOWN = 0.5
"""An indicator recorded for fewer of the judges is left out of the adjusted models."""


@dataclass(frozen=True)
class TwoGroups:
    """An indicator in two groups: above ``cut``, or the flag itself; ``lower`` and ``upper`` name them."""

    name: str
    lower: str
    upper: str
    cut: float | None

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """1 in the upper group, 0 in the lower, NaN where the value is not known (n,)."""
        return values if self.cut is None else np.where(np.isnan(values), np.nan, values > self.cut)


def two_groups(variables: Mapping[str, Variable], names: Iterable[str]) -> tuple[TwoGroups, ...]:
    """How indicators are split, by the cut points of the data dictionary (P1 reading 34b).

    A number without a cut point and a category keep their values.
    """
    found = []
    for name in names:
        variable = variables[name]
        if variable.cut is not None:
            unit = f" {variable.printed_unit}".rstrip()
            texts = tuple(f"{variable.label} {sign} {variable.cut:g}{unit}" for sign in ("≤", ">"))
        elif variable.type == "flag":
            texts = (f"{variable.label}: no", f"{variable.label}: yes")
        else:
            texts = (variable.label, f"{variable.label}, per unit")
        found.append(TwoGroups(name, texts[0], texts[1], variable.cut))
    return tuple(found)


def coded(judges: RatedPatients, coding: TwoGroups) -> NDArray[np.float64]:
    """Coded indicator of each judge (n,); NaN for everybody if the cohorts do not record it."""
    patients = judges.patients
    if coding.name not in patients.indicator_names:
        return np.full(len(patients), np.nan)
    return coding.apply(patients.indicators[:, patients.indicator_names.index(coding.name)])


@dataclass(frozen=True)
class Stratum:
    """PPS risk groups among the patients of one level of an indicator; empty ones say why in ``reason``."""

    text: str
    n: int
    events: int
    groups: GroupComparison | None
    hazard: HazardRatio | None
    reason: str


def strata(
    data: EndpointData, judges: RatedPatients, coding: TwoGroups, settings: AnalysisConfig
) -> tuple[Stratum, Stratum, int]:
    """Split the judges by an indicator and compare the risk groups in either part (P1, Fig 6B).

    The cut between the risk groups stays the median of all training patients.

    Returns
    -------
    (Stratum, Stratum, int)
        The lower and the upper group, and how many judges lack the indicator.
    """
    values = coded(judges, coding)
    lower, upper = (
        _stratum(data, judges.take(values == level), text, settings)
        for level, text in ((0.0, coding.lower), (1.0, coding.upper))
    )
    return lower, upper, int(np.isnan(values).sum())


def _stratum(data: EndpointData, judges: RatedPatients, text: str, settings: AnalysisConfig) -> Stratum:
    patients = judges.patients.take(judges.patients.followed)
    n, events = len(patients), int(patients.event.sum())
    if not n or judges.cut is None:
        reason = "no patients with a follow-up time" if not n else "no training median"
        return Stratum(text, n, events, None, None, reason)
    verdict = judge(data, judges.fixed_model(), patients, settings, judges.cut)
    hazard = next(row for row in verdict.hazard_ratios if row.kind == "risk group")
    return Stratum(text, n, events, verdict.groups[0], hazard, verdict.groups[0].note)


def univariable_rows(
    judges: RatedPatients, indicators: Sequence[TwoGroups]
) -> tuple[list[HazardRatio], dict[str, str]]:
    """Cox regression of the PPS risk (high against low, and per SD) and of each coded indicator alone.

    P1, Fig 6C; P1 reading 35. Times are cut at the horizon; each row has the patients who have the covariate.

    Returns
    -------
    (list of HazardRatio, dict)
        The rows, PPS first, and the reasons of those withheld by term.
    """
    judged = judges.take(judges.patients.followed)
    patients = judged.patients
    columns = {PER_SD: per_sd(judged.risk)} | {coding.upper: coded(judged, coding) for coding in indicators}
    if judged.cut is not None:
        columns = {HIGH: judged.high.astype(float)} | columns
    rows, withheld = [], {}
    for term, values in columns.items():
        keep = ~np.isnan(values)
        fit = cox_univariable(patients.time[keep], patients.event[keep], values[keep])
        rows.append(hazard_row(judges.endpoint, patients.cohort, "univariable", term, fit))
        if fit.reason:
            withheld[term] = fit.reason
    return rows, withheld


@dataclass(frozen=True)
class Adjusted:
    """Cox models of the complete cases with the indicators alone and with PPS added, and their comparison.

    ``incomplete`` counts judges with a follow-up time who lack an indicator; ``unrecorded`` names indicators
    left out because most lack them. ``chisq``, ``df`` and ``p`` are None where there is no test.
    """

    term: str
    clinical: CoxModel
    full: CoxModel
    chisq: float | None
    df: int | None
    p: float | None
    incomplete: int
    unrecorded: tuple[str, ...]


def adjusted(judges: RatedPatients, indicators: Sequence[TwoGroups]) -> list[Adjusted]:
    """Multivariable Cox regression of the PPS risk and the indicators, for both forms of the PPS risk.

    P1 claims independence from univariable models; this is the test. Complete cases only; times are cut at
    the horizon.

    Raises
    ------
    AnalysisError
        If no indicator is recorded for at least half of the judges, or nobody has all of them.
    """
    judged, kept, unrecorded = _recorded(judges, indicators)
    matrix = np.column_stack(list(kept.values()))
    complete = np.asarray(np.isfinite(matrix).all(axis=1), dtype=bool)
    if not complete.any():
        raise AnalysisError(
            f"patients of cohort {judges.patients.cohort}", "nobody has every indicator", "Declare fewer."
        )
    cases, matrix = judged.take(complete), matrix[complete]
    time, event = cases.patients.time, cases.patients.event
    clinical = cox_multivariable(time, event, matrix, list(kept))
    found = []
    for term, risk in _forms(cases).items():
        # Last: a covariate that repeats earlier ones is left out, and that must not be an indicator.
        full = cox_multivariable(time, event, np.column_stack([matrix, risk]), [*kept, term])
        test = likelihood_ratio(clinical, full)
        found.append(Adjusted(term, clinical, full, *test, len(judged) - len(cases), unrecorded))
    return found


@dataclass(frozen=True)
class AdjustedImputed:
    """The model with the indicators and PPS pooled over imputations; ``model`` is None where ``reason`` says why.

    Its test is D3 of the PPS risk against the indicators alone. ``n`` and ``events`` are of all judges with a
    follow-up time, ``incomplete`` those with a missing indicator; ``left_out`` maps covariates that could not take
    part to the reason.
    """

    term: str
    model: PooledModel | None
    n: int
    events: int
    incomplete: int
    left_out: dict[str, str]
    unrecorded: tuple[str, ...]
    reason: str = ""


def adjusted_imputed(
    judges: RatedPatients, indicators: Sequence[TwoGroups], settings: AnalysisConfig
) -> list[AdjustedImputed]:
    """The regressions of :func:`adjusted` with missing indicators imputed, for both forms of the PPS risk.

    The coded indicators are imputed as numbers from a joint normal distribution of the judges, with the PPS risk,
    the event and its cumulative hazard: they are coded first and then imputed, because the model holds the codes
    (von Hippel 2009).

    Returns
    -------
    list of AdjustedImputed
        Empty where no judge lacks an indicator, or the settings ask for complete cases only.

    Raises
    ------
    AnalysisError
        If no indicator is recorded for at least half of the judges.
    """
    judged, kept, unrecorded = _recorded(judges, indicators)
    matrix = np.column_stack(list(kept.values()))
    if settings.missing == "complete" or not np.isnan(matrix).any():
        return []
    found = []
    for term, risk in _forms(judged).items():
        columns = np.column_stack([matrix, risk])
        patients = replace(judged.patients, indicators=columns, indicator_names=[*kept, term])
        found.append(_imputed(patients, term, unrecorded, settings))
    return found


def _imputed(
    patients: Population, term: str, unrecorded: tuple[str, ...], settings: AnalysisConfig
) -> AdjustedImputed:
    names, events = patients.indicator_names, int(patients.event.sum())
    varying = usable_indicators(patients)
    left_out = {name: "constant" for k, name in enumerate(names) if k not in varying}
    incomplete = int(np.isnan(patients.indicators).any(axis=1).sum())
    withheld = AdjustedImputed(term, None, len(patients), events, incomplete, left_out, unrecorded)
    if events < FEW_EVENTS:
        return replace(withheld, reason=f"only {count(events, 'event')} (fewer than {FEW_EVENTS})")
    try:
        copies = impute(patients, varying, imputations=settings.imputations, seed=settings.seed).completed
        kept, repeated = independent_columns(copies[0], [names[k] for k in varying])
        left_out |= repeated
        shown = [names[varying[k]] for k in kept]
        if term in left_out:
            return replace(withheld, reason=f"{term} is {left_out[term]}")
        if events <= len(shown):
            return replace(withheld, reason=f"{events} events for {len(shown)} coefficients")
        time, event = patients.time, patients.event
        model = pooled_cox(time, event, copies[:, :, kept], shown, tested=1)
    except AnalysisError as error:
        return replace(withheld, reason=f"not pooled: {error.entity} {error.problem}")
    return replace(withheld, model=model)


def _recorded(
    judges: RatedPatients, indicators: Sequence[TwoGroups]
) -> tuple[RatedPatients, dict[str, NDArray[np.float64]], tuple[str, ...]]:
    """Judges with a follow-up time, their coded indicators that enough of them have, and the others' names."""
    judged = judges.take(judges.patients.followed)
    values = {coding.upper: coded(judged, coding) for coding in indicators}
    kept = {name: column for name, column in values.items() if _share_known(column) >= LEAST_KNOWN}
    if not kept:
        raise AnalysisError(
            f"patients of cohort {judges.patients.cohort}",
            f"have no indicator that {LEAST_KNOWN:.0%} of them have",
            "Map the indicators in the cohort's description.",
        )
    return judged, kept, tuple(name for name in values if name not in kept)


def _forms(judged: RatedPatients) -> dict[str, NDArray[np.float64]]:
    """The PPS risk as high against low, where there is a cut, and per SD (n,)."""
    high = {} if judged.cut is None else {HIGH: judged.high.astype(float)}
    return high | {PER_SD: per_sd(judged.risk)}


def _share_known(column: NDArray[np.float64]) -> float:
    return float((~np.isnan(column)).mean()) if len(column) else 0.0
