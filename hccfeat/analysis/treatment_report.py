"""Treatment and the image risk in ``analyze``: interaction, absolute benefit, and how alike the arms are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.analysis.conditions import TITLES, Condition
from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.everyone import risks_of_everyone
from hccfeat.analysis.hazards import group_test
from hccfeat.analysis.indicator_hazards import TwoGroups
from hccfeat.analysis.interaction import TREATMENT, Interaction, crowded, interaction
from hccfeat.analysis.interaction_imputed import interactions_imputed
from hccfeat.analysis.models import IMAGE_MODELS
from hccfeat.analysis.overlap import Balance, Overlap, balance_of, propensity_overlap
from hccfeat.analysis.results import ConditionKind, EndpointResult, Notice
from hccfeat.analysis.treatment import ARMS, Comparison, Patients, compare_arms, judged
from hccfeat.config import AnalysisConfig
from hccfeat.errors import LeakageError
from hccfeat.stats.survival import FEW_EVENTS as FEWEST
from hccfeat.stats.survival_difference import SurvivalDifference, survival_difference

DECIDING = ("vascular_invasion", "tumour_size", "bclc", "afp")
"""Indicators that decide about treatment; the interaction is adjusted for those that are recorded."""
WITHOUT_HORIZON = 24.0
"""Months at which the benefit is given where the endpoint has no horizon."""
TERTILES = ("lowest third", "middle third", "highest third")
FEW_EVENTS = 10
"""Fewer events in an arm are cautioned about."""
POOR_OVERLAP = 0.8
"""AUROC with which covariates tell the arms apart; above it they hardly overlap."""

NOT_RANDOMISED = (
    "Treatment was not randomised. Differences between the arms may come from who was chosen for treatment; no "
    "number here shows that treatment helps, or for whom, and none is a reason to treat or not to treat."
)
RISK_MODELLING = (
    "This is risk modelling, not effect modelling (PATH statement): the risk was learnt from untreated patients, "
    "without regard to treatment, and the one question asked is whether the relative effect changes along it. The "
    "same relative effect gives a larger absolute difference at a higher risk."
)
ONE_TEST = (
    "Only the test of the product of treatment and risk compares effects. A difference that is significant in one "
    "third and not in another is no sign of different effects."
)
IMMORTAL_TIME = (
    "The start of treatment is not recorded. Whoever had the event before treatment could begin counts as "
    "untreated, which flatters treatment."
)


@dataclass(frozen=True)
class Benefit:
    """Event-free share of treated minus untreated patients whose risk is above ``risk_from`` up to ``risk_to``."""

    group: str
    risk_from: float
    risk_to: float
    difference: SurvivalDifference


@dataclass(frozen=True)
class TreatmentFindings:
    """What the treated patients of a cohort say; nobody here trained the network or its encoder.

    Attributes
    ----------
    model : str
        Network whose risk is used.
    who : str
        The patients, in words.
    n, events : (int, int)
        Untreated and treated.
    horizon_months : float
        Of ``benefits``; the follow-up itself is not cut.
    arms : Comparison
        Untreated against treated, whatever their risk.
    interactions : tuple of Interaction
        Product of treatment and continuous risk: alone, adjusted for what decided about treatment, and with the
        products of risk and these covariates too; beside these two, where patients lack a covariate, the same
        pooled over imputations.
    benefits : tuple of Benefit
        All patients, then by thirds of the risk among them.
    balance : tuple of Balance
        The risk and each indicator in both arms.
    overlap : Overlap
        Of the arms' probability of being treated.
    cautions : tuple of str
        What a reader must know before any of these numbers.
    conditions : tuple of Condition
        What withheld or replaced a test.
    """

    endpoint: str
    cohort: str
    model: str
    who: str
    n: tuple[int, int]
    events: tuple[int, int]
    horizon_months: float
    arms: Comparison
    interactions: tuple[Interaction, ...]
    benefits: tuple[Benefit, ...]
    balance: tuple[Balance, ...]
    overlap: Overlap
    cautions: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()


def treatment_findings(
    data: EndpointData, result: EndpointResult, codings: Sequence[TwoGroups], settings: AnalysisConfig
) -> TreatmentFindings | None:
    """Analyse treatment where a cohort with a fitted image network has treated patients.

    Judges are the held-out untreated patients and all treated ones, who train nothing; their follow-up is not cut
    at the horizon.

    Parameters
    ----------
    data : EndpointData
        Patients, indicators and images.
    result : EndpointResult
        Its analysis, for the fitted network.
    codings : sequence of TwoGroups
        How the indicators of ``data`` are split in two.
    settings : AnalysisConfig
        Ties, what is done about missing covariates, and the seed of imputations and permutations.

    Returns
    -------
    TreatmentFindings or None
        None without a time, images or treated patients.

    Raises
    ------
    LeakageError
        If a judge trained the network or its encoder.
    """
    model = IMAGE_MODELS[data.modality]
    cohorts = data.cohorts("train")
    if not data.timed or data.images is None or model not in result.artefacts or not cohorts:
        return None
    patients = judged(risks_of_everyone(data, result), _follow_up(data), cohorts[0], all_treated=True)
    arms = ~patients.treated, patients.treated
    if not (arms[0].any() and arms[1].any()):
        return None
    coded = _coded(data, patients.ids, codings)
    names = [coding.upper for coding in codings if coding.name in DECIDING and coding.upper in coded]
    deciding = {name: pl.Series(coded[name]).fill_nan(None) for name in names}
    horizon = data.horizon_months or WITHOUT_HORIZON
    overlap = propensity_overlap(patients.treated, {"risk": patients.risk} | coded)
    events = int(patients.event[arms[0]].sum()), int(patients.event[arms[1]].sum())
    compared, conditions = _tested(patients, settings.seed)
    interactions = _interactions(patients, deciding, settings)
    conditions += [found for one in interactions if (found := _withheld(one)) is not None]
    return TreatmentFindings(
        endpoint=data.endpoint,
        cohort=cohorts[0],
        model=model,
        who=patients.name,
        n=(int(arms[0].sum()), int(arms[1].sum())),
        events=events,
        horizon_months=horizon,
        arms=compared,
        interactions=interactions,
        benefits=benefits_of(patients, horizon),
        balance=balance_of(patients.treated, {f"{model} risk": patients.risk} | coded),
        overlap=overlap,
        cautions=_cautions(events, overlap, data.horizon_months),
        conditions=(*crowded(interactions), *conditions),
    )


def add_treatment(
    result: EndpointResult, data: EndpointData, codings: Sequence[TwoGroups], settings: AnalysisConfig
) -> None:
    """Add :func:`treatment_findings` and its conditions; a notice where a treated patient trained the encoder."""
    try:
        result.treatment = treatment_findings(data, result, codings, settings)
    except LeakageError as error:
        result.notices.append(Notice("caution", "Treatment not analysed", str(error)))
    if result.treatment is not None:
        result.notices += [
            Notice("caution", f"{TITLES[one.kind]}: treatment", f"{one.about}: {one.reason}.", one.kind)
            for one in result.treatment.conditions
        ]


def benefits_of(patients: Patients, horizon: float) -> tuple[Benefit, ...]:
    """Absolute difference in event-free share at a horizon, of everybody and by thirds of the risk among them.

    Parameters
    ----------
    patients : Patients
        Both arms.
    horizon : float
        Months.
    """
    cuts = np.quantile(patients.risk, [0.0, 1 / 3, 2 / 3, 1.0])
    third = np.searchsorted(cuts[1:3], patients.risk, side="left")
    groups = [("all patients", np.ones(len(patients), dtype=bool), cuts[0], cuts[3])]
    groups += [(name, third == k, cuts[k], cuts[k + 1]) for k, name in enumerate(TERTILES)]
    return tuple(
        Benefit(
            name,
            float(low),
            float(high),
            survival_difference(patients.months[keep], patients.event[keep], patients.treated[keep], horizon),
        )
        for name, keep, low, high in groups
    )


def _interactions(
    patients: Patients, deciding: Mapping[str, pl.Series], settings: AnalysisConfig
) -> tuple[Interaction, ...]:
    """Alone, and, where what decided about treatment is known, adjusted without and with its products."""
    alone = replace(interaction(patients, {}, ties=settings.ties), name="not adjusted")
    if not deciding:
        return (alone,)
    adjusted = f"adjusted for {', '.join(deciding)}"
    names = adjusted, f"{adjusted} and their products with the risk"
    cases = [
        replace(interaction(patients, deciding, with_products=products, ties=settings.ties), name=name)
        for name, products in zip(names, (False, True), strict=True)
    ]
    imputed = interactions_imputed(patients, deciding, settings)
    return (alone, cases[0], *imputed[:1], cases[1], *imputed[1:])


def _tested(patients: Patients, seed: int) -> tuple[Comparison, list[Condition]]:
    """The arms with the guarded test of risk groups in the place of the paper's log-rank test."""
    found = compare_arms(patients)
    labels = np.where(patients.treated, ARMS[1], ARMS[0])
    test = group_test(patients.months, patients.event.astype(np.float64), labels, "arms", seed)
    if found.curves is not None:
        curves = replace(found.curves, logrank_chisq=test.chisq, logrank_p=test.p, note=test.note, test=test.test)
        found = replace(found, curves=curves)
    return found, [] if test.condition is None else [test.condition]


def _withheld(found: Interaction) -> Condition | None:
    """Why the product was not tested, or tested by Firth's method, as a condition."""
    if found.replaced:
        kind: ConditionKind = "separation" if all(found.events) else "group_without_events"
        return Condition(kind, f"interaction, {found.name}", found.note)
    if not found.reason:
        return None
    if sum(found.events) < FEWEST:
        kind = "few_events"
    elif found.reason.startswith(TREATMENT):
        kind = "collinear" if all(found.events) else "group_without_events"
    elif found.imputed:
        kind = "too_many_parameters" if "coefficients" in found.reason else "missingness"
    else:
        kind = "separation" if "infinity" in found.reason else "collinear"
    return Condition(kind, f"interaction, {found.name}", f"{found.reason}; no test")


def _follow_up(data: EndpointData) -> pl.DataFrame:
    """The whole follow-up, where there is more than that to the horizon."""
    names = ("months", "recurred") if {"months", "recurred"} <= set(data.patients.columns) else ("time", "event")
    return data.patients.select("patient_id", pl.col(names[0]).alias("time"), pl.col(names[1]).alias("event"))


def _coded(data: EndpointData, ids: Sequence[str], codings: Sequence[TwoGroups]) -> dict[str, NDArray[np.float64]]:
    """Indicators of some patients in two groups (n,), by the name of the upper group; NaN where not known."""
    rows = pl.DataFrame({"patient_id": ids}, schema={"patient_id": pl.String}).join(
        data.indicators, on="patient_id", how="left", maintain_order="left"
    )
    return {
        coding.upper: coding.apply(rows[coding.name].cast(pl.Float64).fill_null(float("nan")).to_numpy())
        for coding in codings
        if coding.name in data.indicator_names
    }


def _cautions(events: tuple[int, int], overlap: Overlap, horizon: float | None) -> tuple[str, ...]:
    found = [NOT_RANDOMISED, RISK_MODELLING, ONE_TEST, IMMORTAL_TIME]
    if horizon is not None:
        found.append(f"Follow-up is not cut at {horizon:g} months here: later events count too, unlike elsewhere.")
    if min(events) < FEW_EVENTS:
        found.append(
            f"{events[0]} untreated and {events[1]} treated patients had the event, too few to conclude anything "
            "from the product: that it is not significant says nothing."
        )
    area = overlap.auroc.value
    if overlap.reason:
        found.append(f"How far the arms overlap cannot be told: {overlap.reason}.")
    elif area is not None and area >= POOR_OVERLAP:
        found.append(
            "The arms hardly overlap: covariates tell treated from untreated patients with an AUROC of "
            f"{area:.2f}. Adjustment then rests on extrapolation."
        )
    return tuple(found)
