"""The part of an endpoint about treatment: arms, interaction with the score, absolute benefit, and overlap."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hccfeat.analysis.results import EndpointResult, RiskDistribution
from hccfeat.report.blocks import Block, FigureView, Part, Scene, block
from hccfeat.report.curve_figures import distribution_figure
from hccfeat.report.forest_figures import DifferenceRow, difference_figure
from hccfeat.report.formatting import (
    cox_label,
    fixed,
    interval,
    joined,
    model_label,
    p_value,
    ratio,
    ratio_p_label,
    significant,
    with_interval,
    with_printed_names,
)
from hccfeat.report.survival_figures import survival_figure
from hccfeat.report.tables import Column, table
from hccfeat.stats.estimate import count

if TYPE_CHECKING:  # pragma: no cover
    from hccfeat.analysis.interaction import Interaction
    from hccfeat.analysis.overlap import Balance
    from hccfeat.analysis.treatment_report import Benefit, TreatmentFindings

ARMS = ("untreated", "treated")
LIKE = 0.1
"""A standardised difference up to this is commonly taken for alike."""


def treatment(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """What the analysis found about one treatment; None where there is none in the cohort."""
    found = result.treatment
    if found is None:
        return None
    name = f"{key}-treatment"
    numbers = (
        f"{count(n, 'patient')} {arm} ({count(e, 'event')})"
        for n, e, arm in zip(found.n, found.events, ARMS, strict=True)
    )
    lead = f"{found.cohort}, {found.who}: {joined(numbers)}. Score: the risk of {model_label(found.model)}."
    return block(
        result,
        scene,
        "treatment",
        Part(
            lead=lead,
            figures=_figures(result, found, scene, name),
            tables=[
                _interactions(found.interactions, scene, f"{name}-interaction", result.label),
                _benefits(found.benefits, f"{name}-benefit", result.label),
                _balance(found.balance, f"{name}-balance", result.label),
            ],
            notes=[*found.cautions, *_without_overlap(found)],
        ),
    )


def _without_overlap(found: "TreatmentFindings") -> list[str]:
    return [f"No propensity model: {found.overlap.reason}."] if found.overlap.reason else []


def _figures(result: EndpointResult, found: "TreatmentFindings", scene: Scene, key: str) -> list[FigureView]:
    figures = []
    if found.arms.curves is not None:
        drawn = survival_figure(f"{key}-arms", found.arms.curves, title="Arms", simulated=scene.simulated)
        text = f"{result.label}: Kaplan-Meier curves of the arms with 95 % bands, {found.cohort}; not randomised."
        figures.append(FigureView(f"{key}-arms", drawn, scene.caption(text)))
    if found.benefits:
        rows = [_benefit_row(benefit) for benefit in found.benefits]
        drawn = difference_figure(
            f"{key}-benefits",
            rows,
            title="Absolute benefit by risk",
            axis="Treated − untreated, event-free share",
            heads=("Difference (95 % CI)", ""),
            simulated=scene.simulated,
        )
        text = f"{result.label}: difference in event-free survival between the arms, by groups of the risk."
        figures.append(FigureView(f"{key}-benefits", drawn, scene.caption(text)))
    if len(found.overlap.untreated):
        counts = (found.overlap.treated, found.overlap.untreated)
        shown = RiskDistribution("Chance of treatment", found.cohort, "held_out", found.overlap.edges, *counts)
        drawn = distribution_figure(
            f"{key}-overlap",
            [shown],
            {},
            title="Overlap of the arms",
            simulated=scene.simulated,
            groups=(ARMS[1], ARMS[0]),
            axis="Chance of treatment, from the covariates",
        )
        area = found.overlap.auroc
        shares = with_interval(area.value, area.lower, area.upper)
        untreated, treated = found.overlap.outside
        text = (
            f"{result.label}: chance of treatment by the covariates, AUROC {shares}; {untreated} untreated and "
            f"{treated} treated patients lie where the other arm has nobody. {found.overlap.method}."
        )
        figures.append(FigureView(f"{key}-overlap", drawn, scene.caption(text)))
    return figures


def _benefit_row(benefit: "Benefit") -> DifferenceRow:
    found = benefit.difference
    label = f"{benefit.group}, {found.horizon:g} months"
    return DifferenceRow(label, found.value, found.lower, found.upper)


def _interactions(interactions: "Sequence[Interaction]", scene: Scene, key: str, label: str) -> Markup:
    columns = [
        Column("term", "Term"),
        *(Column(name, text, "right") for name, text in (("hr", "HR"), ("limits", "95 % CI"))),
        Column("p", ratio_p_label(found.larger.ties for found in interactions), "right"),
    ]
    rows: list[dict[str, Any]] = []
    for found in interactions:
        events = f"n {sum(found.n)}, {count(sum(found.events), 'event')}{_incomplete(found)}"
        rows += [
            {
                "group": f"{found.name}; {events}; {_test(found)}",
                "term": scene.per_unit(term.term),
                "hr": ratio(term.hr),
                "limits": _limits(term.lower, term.upper),
                "p": p_value(term.p),
            }
            for term in found.larger.terms
        ]
    cox = cox_label(found.larger.ties for found in interactions)
    return table(
        key, columns, rows, caption=f"{label}: treatment, score and their interaction ({cox})", group="group"
    )


def _test(found: "Interaction") -> str:
    if found.p is None:
        return f"no test of the interaction: {found.reason}"
    if found.imputed:
        return f"interaction: D3 over {found.imputed}, P {p_value(found.p)}"
    how = "penalised likelihood ratio (Firth, Breslow ties)" if found.replaced else "likelihood ratio"
    return f"interaction: {how} χ² {fixed(found.chisq, 2)}, df {found.df}, P {p_value(found.p)}"


def _incomplete(found: "Interaction") -> str:
    if not found.incomplete or found.imputed:
        return ""
    return f", {count(found.incomplete, 'patient')} without a covariate left out"


def _limits(lower: float | None, upper: float | None) -> str:
    return "" if lower is None or upper is None else f"{ratio(lower)}–{ratio(upper)}"


def _benefits(benefits: "Sequence[Benefit]", key: str, label: str) -> Markup:
    columns = [
        Column("group", "Group"),
        Column("risks", "Score from–to", "right"),
        Column("months", "Months", "right"),
        Column("untreated", "Event-free, untreated", "right"),
        Column("treated", "Event-free, treated", "right"),
        Column("difference", "Difference (95 % CI)", "right"),
        Column("n", "n, untreated / treated", "right"),
        Column("events", "Events", "right"),
        Column("reason", "Note"),
    ]
    rows = []
    for benefit in benefits:
        found = benefit.difference
        rows.append(
            {
                "group": benefit.group,
                "risks": interval(benefit.risk_from, benefit.risk_to, 2),
                "months": f"{found.horizon:g}",
                "untreated": fixed(found.survival[0]),
                "treated": fixed(found.survival[1]),
                "difference": with_interval(found.value, found.lower, found.upper, 3),
                "n": " / ".join(str(n) for n in found.n),
                "events": " / ".join(str(n) for n in found.events),
                "reason": found.reason,
            }
        )
    return table(key, columns, rows, caption=f"{label}: absolute benefit of treatment")


def _balance(balance: "Sequence[Balance]", key: str, label: str) -> Markup:
    columns = [
        Column("covariate", "Covariate"),
        Column("untreated", "Untreated", "right", "Mean, or share"),
        Column("treated", "Treated", "right", "Mean, or share"),
        Column(
            "difference", "Standardised difference (95 % CI)", "right", f"Beyond {LIKE:g} the arms are not alike"
        ),
        Column("missing", "Missing, untreated / treated", "right"),
    ]
    rows = [
        {
            "covariate": with_printed_names(one.covariate),
            "untreated": significant(one.untreated, 3),
            "treated": significant(one.treated, 3),
            "difference": with_interval(one.difference.value, one.difference.lower, one.difference.upper),
            "missing": " / ".join(str(n) for n in one.missing),
        }
        for one in balance
    ]
    return table(key, columns, rows, caption=f"{label}: covariates of the arms")
