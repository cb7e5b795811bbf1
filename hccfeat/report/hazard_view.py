"""The parts of an endpoint about effects: hazard ratios, proportional hazards, and logistic coefficients."""

from collections.abc import Sequence

from markupsafe import Markup

from hccfeat.analysis.results import EndpointResult, HazardRatio, LogisticTerm
from hccfeat.report.blocks import Block, FigureView, Part, Scene, block, by_place, place_label
from hccfeat.report.forest_figures import forest_figure
from hccfeat.report.formatting import (
    APPARENT,
    cox_label,
    fixed,
    model_label,
    p_value,
    ratio,
    ratio_p_label,
    significant,
)
from hccfeat.report.tables import Column, table

_KINDS = ("risk group", "risk per SD", "multivariable", "univariable")


def hazards(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Forest plots per cohort, every ratio in a table, and the tests of whole models."""
    judged = _forests(result, scene, key, apparent=False)
    return block(
        result,
        scene,
        "hazard",
        Part(
            figures=judged,
            apparent=_forests(result, scene, key, apparent=True),
            tables=[_hazards(result, scene, f"{key}-hazard-table"), _tests(result, f"{key}-hazard-tests")],
        ),
    )


def proportionality(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Tests of proportional hazards, one row per term."""
    columns = [
        Column("term", "Term"),
        Column("chisq", "χ²", "right"),
        Column("df", "df", "right"),
        Column("p", "P", "right"),
        Column("transform", "Transform of time"),
        Column("events", "Events", "right"),
    ]
    rows = [
        {
            "group": f"{place_label(t.split, t.cohort)}: {model_label(t.model)}",
            "term": "All terms together" if t.term == "GLOBAL" else scene.term(t.term),
            "chisq": fixed(t.chisq, 2),
            "df": f"{t.df}",
            "p": p_value(t.p),
            "transform": t.transform,
            "events": f"{t.events:,}",
            "m": scene.marks(t.model, t.term),
        }
        for _, here in by_place(result.proportionality)
        for t in here
    ]
    cox = cox_label(ratio.ties for ratio in result.hazard_ratios)
    caption = f"{result.label}: tests of proportional hazards" + (f" ({cox})" if cox != "Cox" else "")
    shown = table(f"{key}-proportionality-table", columns, rows, caption=caption, group="group", models="m")
    return block(result, scene, "proportionality", Part(tables=[shown]))


def logistic(result: EndpointResult, scene: Scene, key: str) -> Block | None:
    """Coefficients of each fitted logistic model."""
    tables = [
        _logistic(terms, name, scene, f"{key}-logistic-{i}")
        for i, (name, terms) in enumerate(result.logistic.items())
        if terms
    ]
    return block(result, scene, "logistic", Part(tables=tables))


def _is_apparent(ratio: HazardRatio) -> bool:
    return "apparent" in ratio.kind


def _kind_rank(kind: str) -> int:
    return next((i for i, start in enumerate(_KINDS) if kind.startswith(start)), len(_KINDS))


def _forests(result: EndpointResult, scene: Scene, key: str, *, apparent: bool) -> list[FigureView]:
    figures = []
    for i, cohort in enumerate(dict.fromkeys(r.cohort for r in result.hazard_ratios)):
        here = [r for r in result.hazard_ratios if r.cohort == cohort and _is_apparent(r) is apparent]
        rows: list[tuple[str, HazardRatio | None]] = []
        for kind in sorted(dict.fromkeys(r.kind for r in here), key=_kind_rank):
            rows.append((f"{kind[:1].upper()}{kind[1:]}", None))
            rows += [(scene.per_unit(r.term), r) for r in here if r.kind == kind]
        if not any(ratio is not None and ratio.hr is not None for _, ratio in rows):
            continue
        name = f"{key}-forest-{'apparent' if apparent else 'judged'}-{i}"
        text = f"{result.label}: hazard ratios with 95 % intervals, {cohort}{f', {APPARENT}' if apparent else ''}."
        title = f"{cohort}{', apparent' if apparent else ''}"
        drawn = forest_figure(name, rows, title=title, simulated=scene.simulated)
        figures.append(FigureView(name, drawn, scene.caption(text)))
    return figures


def _hazards(result: EndpointResult, scene: Scene, key: str) -> Markup:
    columns = [
        Column("term", "Term"),
        *(Column(name, label, "right") for name, label in (("hr", "HR"), ("limits", "95 % CI"))),
        Column("p", ratio_p_label(r.ties for r in result.hazard_ratios if r.p is not None), "right"),
        *(Column(name, label, "right") for name, label in (("n", "n"), ("events", "Events"))),
        Column("ties", "Ties"),
    ]
    cohorts = list(dict.fromkeys(r.cohort for r in result.hazard_ratios))
    ratios = sorted(
        result.hazard_ratios, key=lambda r: (_is_apparent(r), cohorts.index(r.cohort), _kind_rank(r.kind), r.kind)
    )
    rows = [
        {
            "group": f"{r.cohort}, {r.kind}" + (": not evidence of performance" if _is_apparent(r) else ""),
            "term": scene.per_unit(r.term),
            "hr": ratio(r.hr),
            "limits": _limits(r.lower, r.upper),
            "p": p_value(r.p),
            "n": f"{r.n:,}",
            "events": f"{r.events:,}",
            "ties": r.ties,
            "m": scene.marks(r.term),
        }
        for r in ratios
    ]
    grey = [i for i, ratio in enumerate(ratios) if _is_apparent(ratio)]
    caption = f"{result.label}: hazard ratios ({cox_label(r.ties for r in ratios)})"
    return table(key, columns, rows, caption=caption, group="group", muted=grey, models="m")


def _tests(result: EndpointResult, key: str) -> Markup:
    columns = [
        Column("test", "Test"),
        Column("chisq", "χ²", "right"),
        Column("df", "df", "right"),
        Column("p", "P", "right"),
        Column("n", "n", "right"),
        Column("events", "Events", "right"),
        Column("method", "Method"),
    ]
    rows = [
        {
            "group": f"{place_label(t.split, t.cohort)}: {model_label(t.model)}",
            "test": t.test,
            "chisq": fixed(t.chisq, 2),
            "df": f"{t.df}",
            "p": p_value(t.p),
            "n": f"{t.n:,}",
            "events": f"{t.events:,}",
            "method": t.method,
        }
        for _, here in by_place(result.tests)
        for t in here
    ]
    return table(key, columns, rows, caption=f"{result.label}: tests of whole models", group="group")


def _limits(lower: float | None, upper: float | None) -> str:
    return "" if lower is None or upper is None else f"{ratio(lower)}–{ratio(upper)}"


def _logistic(terms: Sequence[LogisticTerm], name: str, scene: Scene, key: str) -> Markup:
    columns = [
        Column("term", "Term"),
        *(Column(name, label, "right") for name, label in (("coefficient", "Coefficient"), ("se", "SE"))),
        *(Column(name, label, "right") for name, label in (("odds", "Odds ratio"), ("limits", "95 % CI"))),
        Column("p", ratio_p_label(t.method for t in terms), "right"),
        Column("method", "Method"),
    ]
    rows = [
        {
            "term": scene.per_unit(t.term),
            "coefficient": significant(t.coefficient),
            "se": significant(t.standard_error),
            "odds": ratio(t.odds_ratio),
            "limits": _limits(t.lower, t.upper),
            "p": p_value(t.p),
            "method": t.method,
        }
        for t in terms
    ]
    return table(key, columns, rows, caption=f"Coefficients: {model_label(name)}")
