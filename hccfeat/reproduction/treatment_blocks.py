"""Comparisons of treated and untreated patients, and of predicted groups, as blocks."""

from collections.abc import Sequence
from typing import Any

from hccfeat.analysis.interaction import PRODUCT, Interaction
from hccfeat.analysis.treatment import Comparison, ScoreAndTime
from hccfeat.report.figures import survival_figure
from hccfeat.report.formatting import MISSING, fixed, p_value, with_interval
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Figure, Note, Table
from hccfeat.reproduction.printed import difference
from hccfeat.stats.cox import CoxModel
from hccfeat.stats.survival_difference import SurvivalDifference

SIGNIFICANT = 0.05


def comparison_table(
    found: Sequence[tuple[Comparison, float | str | None]], caption: str, *, printed_of: str
) -> Table:
    """Two groups by recurrence-free months, one row per comparison.

    Parameters
    ----------
    found : sequence of (Comparison, printed value or None)
        A printed P, or the paper's verdict ``significant`` or ``not significant``.
    caption : str
        What the table shows.
    printed_of : {"test", "logrank"}
        Which of our P values the printed one stands beside.
    """
    cells, data = [], []
    for comparison, known in found:
        p = comparison.test.p if printed_of == "test" else comparison.logrank.p
        hazard = comparison.hazard
        said, apart = beside(p, known)
        cells.append(
            {
                "name": comparison.name,
                "n": " / ".join(map(str, comparison.n)),
                "events": " / ".join(map(str, comparison.events)),
                "means": " / ".join(fixed(mean, 1) for mean in comparison.test.means),
                "test": _why(comparison.test.test, comparison.test.reason),
                "test_p": p_value(comparison.test.p),
                "logrank": _why(p_value(comparison.logrank.p), comparison.logrank.reason),
                "hr": _why(with_interval(hazard.hr, hazard.lower, hazard.upper), hazard.reason),
                "printed": said,
                "difference": apart,
            }
        )
        data.append({**_comparison_data(comparison), "printed": known, "difference": _p_difference(p, known)})
    first, second = found[0][0].groups
    order = f"{first} / {second}"
    columns = [
        Column("name", "Patients"), Column("n", f"n: {order}", "right"), Column("events", "Recurrences", "right"),
        Column("means", "Mean months", "right", "of the times as observed, ended by recurrence or not"),
        Column("test", "Test"), Column("test_p", "P", "right", "takes every time for a time to recurrence"),
        Column("logrank", "Log-rank P", "right"),
        Column("hr", "HR (95 % CI)", "right", f"{second} against {first}, Cox, Efron ties"),
        Column("printed", f"Printed {'P' if printed_of == 'test' else 'log-rank P'}", "right"),
        Column("difference", "Difference", "right"),
    ]  # fmt: skip
    return Table(columns, cells, caption, data=data)


def difference_table(found: Sequence[Comparison], caption: str) -> Table:
    """Absolute differences at fixed months, one row per comparison and horizon."""
    cells, data = [], []
    for comparison in found:
        for apart in comparison.differences:
            cells.append(
                {
                    "name": comparison.name,
                    "horizon": f"{apart.horizon:g}",
                    "survival": " / ".join(_percent(share) for share in apart.survival),
                    "at_risk": " / ".join(map(str, apart.at_risk)),
                    "events": " / ".join(map(str, apart.events)),
                    "difference": _points(apart),
                }
            )
            data.append(
                {
                    "patients": comparison.name,
                    "months": apart.horizon,
                    **_pair("free", apart.survival),
                    **_pair("n", apart.n),
                    **_pair("events", apart.events),
                    **_pair("at_risk", apart.at_risk),
                    "difference": apart.value,
                    "lower": apart.lower,
                    "upper": apart.upper,
                    "reason": apart.reason,
                }
            )
    first, second = found[0].groups
    columns = [
        Column("horizon", "Months"),
        Column("survival", f"Recurrence-free: {first} / {second}", "right"),
        Column("events", "Recurrences by then", "right"), Column("at_risk", "At risk then", "right"),
        Column("difference", f"{second} minus {first}, points (95 % CI)", "right", "Kaplan-Meier, Greenwood"),
    ]  # fmt: skip
    return Table(columns, cells, caption, group="name", data=data)


def score_table(found: Sequence[tuple[str, ScoreAndTime, float | None, float | None]], caption: str) -> Table:
    """A score against recurrence-free months, one row per group of patients and score.

    Parameters
    ----------
    found : sequence of (patients, ScoreAndTime, printed r, printed P)
    caption : str
    """
    cells, data = [], []
    for name, score, printed_r, printed_p in found:
        r, hazard, c = score.correlation, score.hazard, score.c_index
        said_r, apart_r = beside(r.r, printed_r, decimals=2)
        said_p, apart_p = beside(r.p, printed_p, decimals=4)
        cells.append(
            {
                "name": name,
                "score": score.label,
                "n": str(r.n),
                "events": str(int(score.recurred.sum())),
                "r": _why(with_interval(r.r, r.lower, r.upper), r.reason),
                "p": p_value(r.p),
                "printed": f"{said_r}; {said_p}",
                "difference": f"{apart_r}; {apart_p}",
                "hr": _why(with_interval(hazard.hr, hazard.lower, hazard.upper), hazard.reason),
                "c": with_interval(c.value, c.lower, c.upper),
                "logrank": _why(p_value(score.logrank.p), score.logrank.reason),
            }
        )
        facts = {"patients": name, "score": score.label, "n": r.n, "events": int(score.recurred.sum())}
        facts |= {"r": r.r, "r_lower": r.lower, "r_upper": r.upper, "p": r.p, "reason": r.reason}
        facts |= {"printed_r": printed_r, "r_difference": difference(r.r, printed_r)}
        facts |= {"printed_p": printed_p, "p_difference": difference(r.p, printed_p)}
        facts |= {"hr_per_sd": hazard.hr, "hr_lower": hazard.lower, "hr_upper": hazard.upper, "hr_p": hazard.p}
        facts |= {"c": c.value, "c_lower": c.lower, "c_upper": c.upper, "logrank_p": score.logrank.p}
        data.append(facts)
    columns = [
        Column("score", "Score"), Column("n", "n", "right"), Column("events", "Recurrences", "right"),
        Column("r", "Pearson r (95 % CI)", "right", "ignores censoring"), Column("p", "P", "right"),
        Column("printed", "Printed r; P", "right"), Column("difference", "Difference", "right"),
        Column("hr", "HR per SD (95 % CI)", "right", "Cox, Efron ties"), Column("c", "C-index (95 % CI)", "right"),
        Column("logrank", "Log-rank P of the predicted groups", "right"),
    ]  # fmt: skip
    return Table(columns, cells, caption, group="name", data=data)


def interaction_table(found: Sequence[Interaction], caption: str) -> Table:
    """Cox models with the product of treatment and risk, one row per coefficient, and the test of the product."""
    cells, data = [], []
    for tested in found:
        who = (
            f"{tested.name}: n {tested.n[0]} untreated, {tested.n[1]} treated; recurrences {tested.events[0]} and "
            f"{tested.events[1]}" + (f"; {tested.incomplete} incomplete left out" if tested.incomplete else "")
        )
        for label, model in (("without product", tested.smaller), ("with product", tested.larger)):
            model_cells, model_data = _model_rows(who, tested.name, label, model)
            cells += model_cells
            data += model_data
        text = tested.reason or f"chi-square {fixed(tested.chisq, 2)}, {tested.df} degree of freedom"
        text += ", Firth's penalised likelihood" if tested.replaced else ""
        cells.append({"who": who, "model": "likelihood ratio", "term": PRODUCT, "hr": text, "p": p_value(tested.p)})
        facts: dict[str, Any] = {
            "patients": tested.name,
            "model": "likelihood ratio",
            "term": PRODUCT,
            "coefficient": None,
        }
        facts |= {"hr": None, "lower": None, "upper": None, "p": tested.p, "chisq": tested.chisq, "df": tested.df}
        facts |= {"n": sum(tested.n), "events": sum(tested.events), "note": tested.note}
        data.append(facts)
    columns = [
        Column("term", "Term"),
        Column("model", "Model"),
        Column("hr", "HR (95 % CI)", "right"),
        Column("p", "P", "right"),
    ]
    return Table(columns, cells, caption, group="who", data=data)


def curve_figures(found: Sequence[Comparison], what: str) -> list[Block]:
    """Kaplan-Meier figure of each comparison, or a note where there are no patients."""
    blocks: list[Block] = []
    for comparison in found:
        group = comparison.curves
        if group is None:
            blocks.append(Note(f"No curves of {comparison.name}: there are no such patients.", "caution"))
            continue
        title = f"{comparison.name[0].upper()}{comparison.name[1:]}"
        data = [
            {"group": curve.label, "months": when, "free": share, "lower": low, "upper": up}
            for curve in group.curves
            for when, share, low, up in zip(
                *(a.tolist() for a in (curve.times, curve.survival, curve.lower, curve.upper)), strict=True
            )
        ]

        def draw(key: str, simulated: bool, group: Any = group, title: str = title) -> Any:
            return survival_figure(key, group, title=title, simulated=simulated)

        blocks.append(Figure(draw, f"{what}: {comparison.name}", data))
    return blocks


def beside(measured: float | None, known: float | str | None, decimals: int = 3) -> tuple[str, str]:
    """Texts of a printed number or verdict, and of how ours differs from it."""
    if known is None:
        return MISSING, MISSING
    if isinstance(known, str):
        if measured is None:
            return known, MISSING
        ours = "significant" if measured < SIGNIFICANT else "not significant"
        return known, "same" if ours == known else f"here {ours}"
    apart = difference(measured, known)
    return fixed(known, decimals), MISSING if apart is None else f"{apart:+.{decimals}f}"


def _model_rows(
    who: str, name: str, label: str, model: CoxModel
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    note = "; ".join([model.reason or model.note, *(f"{term}: {why}" for term, why in model.left_out.items())])
    cells = [
        {
            "who": who,
            "model": label,
            "term": term.term,
            "hr": with_interval(term.hr, term.lower, term.upper),
            "p": p_value(term.p),
        }
        for term in model.terms
    ]
    if note.strip("; "):
        cells.append({"who": who, "model": label, "term": "note", "hr": note.strip("; "), "p": ""})
    shared = {"chisq": None, "df": None, "n": model.n, "events": model.events, "note": note.strip("; ")}
    data = [
        {
            "patients": name,
            "model": label,
            "term": term.term,
            "coefficient": term.coefficient,
            "hr": term.hr,
            "lower": term.lower,
            "upper": term.upper,
            "p": term.p,
            **shared,
        }
        for term in model.terms
    ]
    return cells, data


def _comparison_data(comparison: Comparison) -> dict[str, Any]:
    test, rank, hazard = comparison.test, comparison.logrank, comparison.hazard
    return {
        "patients": comparison.name,
        **_pair("group", comparison.groups),
        **_pair("n", comparison.n),
        **_pair("events", comparison.events),
        **_pair("mean_months", test.means),
        **_pair("median_months", test.medians),
        "test": test.test,
        "p": test.p,
        "reason": test.reason,
        "logrank_chisq": rank.chisq,
        "logrank_p": rank.p,
        "logrank_reason": rank.reason,
        "hr": hazard.hr,
        "hr_lower": hazard.lower,
        "hr_upper": hazard.upper,
        "hr_p": hazard.p,
        "hr_reason": hazard.reason,
    }


def _pair(name: str, values: Sequence[Any]) -> dict[str, Any]:
    return {f"{name}1": values[0], f"{name}2": values[1]}


def _p_difference(p: float | None, known: float | str | None) -> float | None:
    return None if isinstance(known, str) else difference(p, known)


def _why(text: str, reason: str) -> str:
    if not reason:
        return text
    return reason if text == MISSING else f"{text}; {reason}"


def _percent(share: float | None) -> str:
    return MISSING if share is None else f"{100 * share:.0f} %"


def _points(apart: SurvivalDifference) -> str:
    if apart.value is None:
        return apart.reason
    limits = [None if limit is None else 100 * limit for limit in (apart.lower, apart.upper)]
    return _why(with_interval(100 * apart.value, limits[0], limits[1], 1), apart.reason)
