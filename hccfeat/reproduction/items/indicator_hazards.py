"""Blocks of item 27: hazard ratios of the PPS risk and the indicators, alone and adjusted (P1, Fig 6C)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.clinical_terms import WITH_IMPUTATION, pooled_hazards
from hccfeat.analysis.indicator_hazards import (
    HIGH,
    TwoGroups,
    adjusted,
    adjusted_imputed,
    two_groups,
    univariable_rows,
)
from hccfeat.analysis.multivariable import MULTIVARIABLE
from hccfeat.analysis.results import HazardRatio
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.report.figures import forest_figure
from hccfeat.report.formatting import MISSING, fixed, p_value, significant
from hccfeat.reproduction.blocks import Block, Figure, Note, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.judged import (
    INDICATOR_HORIZONS,
    RATIO,
    JudgedHorizon,
    columns,
    everywhere,
    ratio_limits,
    remarked,
    signed,
    why,
)
from hccfeat.reproduction.printed import difference, printed
from hccfeat.stats.cox import TIES
from hccfeat.stats.estimate import count

INDEPENDENT = (
    "The paper calls the PPS risk independent from univariable models alone. Here it is put into one model with "
    "the indicators, on the patients who have all of them; the likelihood-ratio test asks whether it adds to them. "
    "With few events for each coefficient the estimates lean to extremes."
)
POOLED = (
    "Rows called imputed are of all judges with a follow-up time: what the incomplete ones lack was drawn from a "
    "joint normal distribution of the coded indicators, the PPS risk, the event and its cumulative hazard. "
    "Coefficients are pooled by Rubin's rules with t intervals; the test is D3, its F times the degrees of freedom."
)


def _indicators(context: Context) -> tuple[TwoGroups, ...]:
    dictionary = load_dictionary(context.study)
    return two_groups(context.variables, dictionary.indicators)


def forest(context: Context) -> list[Block]:
    """Hazard ratios of the PPS risk and the indicators, one by one and in one model (Fig 6C)."""
    found, notes = everywhere(context, INDICATOR_HORIZONS)
    indicators = _indicators(context)
    rows, data = [], []
    figures: list[Block] = []
    for judged in found:
        ratios, withheld = univariable_rows(judged.judges, indicators)
        for ratio in ratios:
            shown, numbers = _ratio_cells(judged, ratio, withheld.get(ratio.term, ""))
            rows.append(shown)
            data.append(numbers)
        figures.append(_forest_figure(judged, ratios))
    shown_columns = columns(("term", "Term"), numbers=RATIO) + columns(("note", "Not given, why"))
    caption = "Univariable Cox regression, times cut at the horizon, Efron ties, Wald intervals"
    table = Table(remarked(shown_columns, rows), rows, caption, group="place", data=data)
    return [
        table,
        *figures,
        *_adjusted_blocks(found, indicators, context.config.analysis),
        Note(INDEPENDENT),
        *notes,
    ]


def _ratio_cells(judged: JudgedHorizon, ratio: HazardRatio, reason: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A univariable hazard ratio; the paper's is taken to be high against low (P1 reading 35)."""
    value = printed("hazard_ratio", judged.printed_place, judged.endpoint) if ratio.term == HIGH else None
    gap = difference(ratio.hr, None if value is None else float(value[0]))
    shown = {
        "place": f"{judged.judges.label}, {judged.where}",
        "term": ratio.term,
        "hr": significant(ratio.hr, 3),
        "limits": ratio_limits(ratio.lower, ratio.upper),
        "p": p_value(ratio.p),
        "n": f"{ratio.n:,}",
        "events": f"{ratio.events:,}",
        "printed": MISSING if value is None else "{:.2f} ({:.2f}–{:.2f})".format(*value),
        "difference": signed(gap, 2),
        "note": reason,
    }
    data = {
        "endpoint": judged.endpoint,
        "place": judged.place,
        "term": ratio.term,
        "hr": ratio.hr,
        "lower": ratio.lower,
        "upper": ratio.upper,
        "p": ratio.p,
        "n": ratio.n,
        "events": ratio.events,
        "ties": ratio.ties,
        "printed": None if value is None else float(value[0]),
        "difference": gap,
        "note": reason,
    }
    return shown, data


def _forest_figure(judged: JudgedHorizon, ratios: list[HazardRatio]) -> Figure:
    rows: list[tuple[str, HazardRatio | None]] = [(ratio.term, ratio) for ratio in ratios]
    title = f"{judged.judges.label}, {judged.judges.patients.cohort}, one by one"

    def draw(key: str, simulated: bool) -> Markup:
        return forest_figure(key, rows, title=title, simulated=simulated)

    return Figure(draw, f"{judged.judges.label}, {judged.where}: hazard ratios, one covariate at a time.")


def _adjusted_blocks(
    found: list[JudgedHorizon], indicators: tuple[TwoGroups, ...], settings: AnalysisConfig
) -> list[Block]:
    terms, term_data, tests, test_data = [], [], [], []
    blocks: list[Block] = []
    imputed = False
    for judged in found:
        models, problems = _complete_models(judged, indicators)
        pooled, further = _imputed_models(judged, indicators, settings)
        blocks += problems + [note for note in further if note not in problems]
        imputed = imputed or bool(pooled)
        for model in models + pooled:
            place = f"{judged.judges.label}, {judged.where}: with {model.form}"
            for ratio in model.ratios:
                shown, numbers = _ratio_cells(judged, ratio, "")
                terms.append(shown | {"place": place, "printed": MISSING, "difference": MISSING})
                term_data.append(
                    {"form": model.form} | {k: v for k, v in numbers.items() if k not in ("printed", "difference")}
                )
            tests.append(_test_cells(judged, model))
            test_data.append({"endpoint": judged.endpoint, "place": judged.place, "added": model.form} | model.test)
    blocks += [Note(POOLED)] if imputed else []
    if not tests:
        return blocks
    test_columns = columns(
        ("term", "Added to the indicators"),
        numbers=(
            ("n", "n"),
            ("events", "Events"),
            ("terms", "Coefficients"),
            ("each", "Events for each"),
            ("chisq", "Likelihood-ratio χ²"),
            ("df", "df"),
            ("p", "P"),
            ("incomplete", "Incomplete"),
        ),
    )
    test_columns += columns(("note", "Remarks"))
    term_columns = columns(("term", "Term"), numbers=RATIO[:5])
    asked = "Does the PPS risk add to the indicators? Not in the paper"
    first = Table(remarked(test_columns, tests), tests, asked, "place", test_data)
    if not terms:
        return [first, *blocks]
    whom = "complete cases, and pooled over imputations" if imputed else "complete cases"
    caption = f"Multivariable Cox regression, {whom}; not in the paper"
    return [first, Table(term_columns, terms, caption, "place", term_data), *blocks]


@dataclass(frozen=True)
class _Shown:
    """A model with the PPS risk: what it is called, its hazard ratios, and the test of the risk as data."""

    form: str
    ratios: list[HazardRatio]
    test: dict[str, Any]


def _complete_models(judged: JudgedHorizon, indicators: tuple[TwoGroups, ...]) -> tuple[list[_Shown], list[Note]]:
    try:
        found = adjusted(judged.judges, indicators)
    except AnalysisError as error:
        return [], [Note(f"{judged.judges.label}, {judged.where}: {error}", "caution")]
    place = (judged.endpoint, judged.judges.patients.cohort, MULTIVARIABLE)
    shown = []
    for one in found:
        full = one.full
        ratios = [
            HazardRatio(*place, t.term, t.hr, t.lower, t.upper, t.p, full.n, full.events, full.ties)
            for t in full.terms
        ]
        note = why(
            no_model=full.reason,
            no_clinical_model=one.clinical.reason,
            left_out=_listed(full.left_out),
            recorded_for_too_few=", ".join(one.unrecorded),
            caution=full.note,
        )
        test = (one.chisq, one.df, one.p)
        shown.append(_Shown(one.term, ratios, _test(full.n, full.events, ratios, test, one.incomplete, note)))
    return shown, []


def _imputed_models(
    judged: JudgedHorizon, indicators: tuple[TwoGroups, ...], settings: AnalysisConfig
) -> tuple[list[_Shown], list[Note]]:
    try:
        found = adjusted_imputed(judged.judges, indicators, settings)
    except AnalysisError as error:
        return [], [Note(f"{judged.judges.label}, {judged.where}: {error}", "caution")]
    cohort, kind = judged.judges.patients.cohort, MULTIVARIABLE + WITH_IMPUTATION
    shown = []
    for one in found:
        fit = one.model
        ratios = [] if fit is None else pooled_hazards(judged.endpoint, cohort, kind, fit, TIES)
        test = (None, None, None) if fit is None else (fit.test.f * fit.test.df, fit.test.df, fit.test.p)
        note = why(
            no_model=one.reason,
            left_out=_listed(one.left_out),
            recorded_for_too_few=", ".join(one.unrecorded),
            pooled="" if fit is None else fit.said,
        )
        row = _test(one.n, one.events, ratios, test, one.incomplete, note)
        shown.append(_Shown(one.term + WITH_IMPUTATION, ratios, row))
    return shown, []


def _listed(left_out: Mapping[str, str]) -> str:
    return "; ".join(f"{name} ({reason})" for name, reason in left_out.items())


def _test(
    n: int,
    events: int,
    ratios: list[HazardRatio],
    test: tuple[float | None, int | None, float | None],
    incomplete: int,
    note: str,
) -> dict[str, Any]:
    return {
        "n": n,
        "events": events,
        "coefficients": len(ratios),
        "events_per_coefficient": events / len(ratios) if ratios else None,
        "chisq": test[0],
        "df": test[1],
        "p": test[2],
        "incomplete": incomplete,
        "note": note,
    }


def _test_cells(judged: JudgedHorizon, model: _Shown) -> dict[str, Any]:
    test = model.test
    return {
        "place": f"{judged.judges.label}, {judged.where}",
        "term": model.form,
        "n": f"{test['n']:,}",
        "events": f"{test['events']:,}",
        "terms": f"{test['coefficients']}",
        "each": fixed(test["events_per_coefficient"], 1),
        "chisq": fixed(test["chisq"], 2),
        "df": MISSING if test["df"] is None else f"{test['df']}",
        "p": p_value(test["p"]),
        "incomplete": count(test["incomplete"], "patient"),
        "note": test["note"],
    }
