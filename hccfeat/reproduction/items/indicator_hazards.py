"""Blocks of item 27: hazard ratios of the PPS risk and the indicators, alone and adjusted (P1, Fig 6C)."""

from typing import Any

from markupsafe import Markup

from hccfeat.analysis.indicator_hazards import (
    HIGH,
    Adjusted,
    TwoGroups,
    adjusted,
    two_groups,
    univariable_rows,
)
from hccfeat.analysis.results import HazardRatio
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.errors import AnalysisError
from hccfeat.report.figures import forest_figure
from hccfeat.report.formatting import MISSING, count, fixed, p_value, significant
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
from hccfeat.stats.cox import CoxModel

INDEPENDENT = (
    "The paper calls the PPS risk independent from univariable models alone. Here it is put into one model with "
    "the indicators, on the patients who have all of them; the likelihood-ratio test asks whether it adds to them. "
    "With few events for each coefficient the estimates lean to extremes."
)


def _indicators(context: Context) -> tuple[TwoGroups, ...]:
    dictionary = load_dictionary(context.study)
    return two_groups(dictionary.variables, dictionary.indicators)


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
    return [table, *figures, *_adjusted_blocks(found, indicators), Note(INDEPENDENT), *notes]


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


def _adjusted_blocks(found: list[JudgedHorizon], indicators: tuple[TwoGroups, ...]) -> list[Block]:
    terms, term_data, tests, test_data = [], [], [], []
    blocks: list[Block] = []
    for judged in found:
        try:
            models = adjusted(judged.judges, indicators)
        except AnalysisError as error:
            blocks.append(Note(f"{judged.judges.label}, {judged.where}: {error}", "caution"))
            continue
        for model in models:
            place = f"{judged.judges.label}, {judged.where}: with {model.term}"
            ratios = _as_rows(judged, model.full)
            for ratio in ratios:
                shown, numbers = _ratio_cells(judged, ratio, "")
                terms.append(shown | {"place": place, "printed": MISSING, "difference": MISSING})
                term_data.append(
                    {"form": model.term} | {k: v for k, v in numbers.items() if k not in ("printed", "difference")}
                )
            shown, numbers = _test_cells(judged, model)
            tests.append(shown)
            test_data.append(numbers)
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
    caption = "Multivariable Cox regression, complete cases; not in the paper"
    return [first, Table(term_columns, terms, caption, "place", term_data), *blocks]


def _as_rows(judged: JudgedHorizon, model: CoxModel) -> list[HazardRatio]:
    cohort = judged.judges.patients.cohort
    return [
        HazardRatio(
            judged.endpoint,
            cohort,
            "multivariable",
            term.term,
            term.hr,
            term.lower,
            term.upper,
            term.p,
            model.n,
            model.events,
            model.ties,
        )
        for term in model.terms
    ]


def _test_cells(judged: JudgedHorizon, model: Adjusted) -> tuple[dict[str, Any], dict[str, Any]]:
    each = model.events_per_term
    left_out = "; ".join(f"{name} ({reason})" for name, reason in model.full.left_out.items())
    note = why(
        no_model=model.full.reason,
        no_clinical_model=model.clinical.reason,
        left_out=left_out,
        recorded_for_too_few=", ".join(model.unrecorded),
        caution=model.full.note,
    )
    shown = {
        "place": f"{judged.judges.label}, {judged.where}",
        "term": model.term,
        "n": f"{model.full.n:,}",
        "events": f"{model.full.events:,}",
        "terms": f"{len(model.full.terms)}",
        "each": fixed(each, 1),
        "chisq": fixed(model.chisq, 2),
        "df": MISSING if model.df is None else f"{model.df}",
        "p": p_value(model.p),
        "incomplete": count(model.incomplete, "patient"),
        "note": note,
    }
    data = {
        "endpoint": judged.endpoint,
        "place": judged.place,
        "added": model.term,
        "n": model.full.n,
        "events": model.full.events,
        "coefficients": len(model.full.terms),
        "events_per_coefficient": each,
        "chisq": model.chisq,
        "df": model.df,
        "p": model.p,
        "incomplete": model.incomplete,
        "note": note,
    }
    return shown, data
