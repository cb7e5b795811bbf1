"""Tables and figures of time to recurrence by predicted group and by risk (P1, Fig 4B, 5B, S8B, S9)."""

from collections.abc import Callable
from typing import Any, TypeVar

from markupsafe import Markup

from hccfeat.analysis.prognosis import (
    Place,
    RatedPatients,
    TimesByGroup,
    TimesByRisk,
    times_by_group,
    times_by_risk,
)
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.report.formatting import fixed, p_value, with_interval
from hccfeat.report.prognosis_figures import times_by_group_figure, times_by_risk_figure
from hccfeat.reproduction.blocks import Block, Figure, Note, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.judged import (
    JudgedHorizon,
    columns,
    judged_at,
    nothing_shown,
    printed_number,
    printed_text,
    signed,
    triple,
    why,
)
from hccfeat.reproduction.printed import difference, printed

Times = TypeVar("Times", TimesByGroup, TimesByRisk)
IGNORES_CENSORING = (
    "The t and rank-sum tests take the months of a patient who was lost or died without recurrence for months to "
    "recurrence; the paper prints them so (P1 reading 31b). Log-rank, Cox and Harrell's C account for censoring."
)
LINE_IGNORES = (
    "The line and the correlation take the months of a censored patient for months to recurrence, as the paper "
    "does; Cox and Harrell's C do not. P and R² are the same whichever is regressed on the other."
)
GROUP_COLUMNS = columns(
    ("endpoint", "Groups by risk of"),
    numbers=(
        ("n", "n low, high"),
        ("events", "Recurred"),
        ("medians", "Median months low, high"),
        ("means", "Mean months low, high"),
    ),
)
GROUP_COLUMNS += columns(
    ("test", "Test as in the paper"),
    numbers=(
        ("p", "P"),
        ("printed", "Printed P"),
        ("difference", "Difference"),
        ("logrank", "Log-rank P"),
        ("hr", "HR high against low"),
        ("per_sd", "HR per SD"),
        ("c_index", "C"),
    ),
)
RISK_COLUMNS = columns(
    ("endpoint", "Risk of"),
    numbers=(
        ("n", "n"),
        ("events", "Recurred"),
        ("slope", "Slope (95 % interval)"),
        ("r2", "R²"),
        ("p", "P"),
        ("r", "Pearson r (95 % interval)"),
        ("per_sd", "HR per SD"),
        ("c_index", "C"),
    ),
)


def times_blocks(context: Context, place: Place) -> list[Block]:
    """Compare the recurrence-free months of the predicted groups (P1, Fig 4B, 5B)."""
    found, notes = judged_at(context, place)
    panels, rows, data, cautions = _each(context, found, times_by_group, _times_cells)
    notes += cautions
    if not panels:
        raise nothing_shown(found[0].where, notes)
    where = found[0].where
    caption = f"Whole recurrence-free follow-up by predicted group, {where}; cut at the training median"

    def draw(key: str, simulated: bool) -> Markup:
        return times_by_group_figure(key, panels, title=where, simulated=simulated)

    note = f"Filled points recurred, open ones were censored; boxes hold the middle half. {where.capitalize()}."
    return [Table(GROUP_COLUMNS, rows, caption, data=data), Figure(draw, note), Note(IGNORES_CENSORING), *notes]


def _each(
    context: Context,
    found: list[JudgedHorizon],
    analyse: Callable[[RatedPatients, AnalysisConfig], Times],
    cells: Callable[[Times, JudgedHorizon], tuple[dict[str, Any], dict[str, Any]]],
) -> tuple[list[Times], list[dict[str, Any]], list[dict[str, Any]], list[Note]]:
    """Analyse each horizon: results, cells shown, their numbers, and a caution for all that cannot be given."""
    results, rows, data, cautions = [], [], [], []
    for judged in found:
        try:
            times = analyse(judged.judges, context.config.analysis)
        except AnalysisError as error:
            cautions.append(Note(f"{judged.judges.label}: {error}", "caution"))
            continue
        shown, numbers = cells(times, judged)
        results.append(times)
        rows.append(shown)
        data.append(numbers)
        if numbers["reason"]:
            cautions.append(Note(f"{judged.judges.label}, not given: {numbers['reason']}.", "caution"))
    return results, rows, data, cautions


def _times_cells(times: TimesByGroup, judged: JudgedHorizon) -> tuple[dict[str, Any], dict[str, Any]]:
    test, group, per_sd, c = times.test, times.group, times.per_sd, times.c_index
    recurred = [int(times.members(high)[1].sum()) for high in (False, True)]
    keys = ("prognosis", judged.printed_place, "pfs_p")
    reason = why(test=test.reason, log_rank=times.logrank.reason, HR=group.reason, HR_per_SD=per_sd.reason)
    shown = {
        "endpoint": judged.judges.label,
        "n": f"{test.n[0]}, {test.n[1]}",
        "events": f"{recurred[0]}, {recurred[1]}",
        "medians": f"{fixed(test.medians[0], 1)}, {fixed(test.medians[1], 1)}",
        "means": f"{fixed(test.means[0], 1)}, {fixed(test.means[1], 1)}",
        "test": test.test,
        "p": p_value(test.p),
        "printed": printed_text(*keys),
        "difference": signed(difference(test.p, printed_number(*keys)), 4),
        "logrank": p_value(times.logrank.p),
        "hr": with_interval(group.hr, group.lower, group.upper),
        "per_sd": with_interval(per_sd.hr, per_sd.lower, per_sd.upper),
        "c_index": with_interval(c.value, c.lower, c.upper, 3),
    }
    data = {
        "endpoint": judged.endpoint,
        "place": judged.place,
        "n_low": test.n[0],
        "n_high": test.n[1],
        "recurred_low": recurred[0],
        "recurred_high": recurred[1],
        "median_low": test.medians[0],
        "median_high": test.medians[1],
        "mean_low": test.means[0],
        "mean_high": test.means[1],
        "test": test.test,
        "statistic": test.statistic,
        "p": test.p,
        "printed_p": printed(*keys),
        "logrank_p": times.logrank.p,
        **triple("hr_group", group.hr, group.lower, group.upper),
        **triple("hr_per_sd", per_sd.hr, per_sd.lower, per_sd.upper),
        **triple("c_index", c.value, c.lower, c.upper),
        "reason": reason,
    }
    return shown, data


def regression_blocks(context: Context, found: list[JudgedHorizon]) -> list[Block]:
    """Regress recurrence-free months on the risk (P1, Fig S8B, S9)."""
    panels, rows, data, cautions = _each(context, found, times_by_risk, _regression_cells)
    if not panels:
        return [*cautions]
    where = found[0].where
    caption = f"Months without recurrence regressed on the PPS risk; slope in months per 0.1 of risk, {where}"

    def draw(key: str, simulated: bool) -> Markup:
        return times_by_risk_figure(key, panels, title=where, simulated=simulated)

    figure = Figure(draw, f"Filled points recurred, open ones were censored. {where.capitalize()}.")
    return [Table(RISK_COLUMNS, rows, caption, data=data), figure, Note(LINE_IGNORES), *cautions]


def _regression_cells(times: TimesByRisk, judged: JudgedHorizon) -> tuple[dict[str, Any], dict[str, Any]]:
    line, r, per_sd, c = times.line, times.correlation, times.per_sd, times.c_index
    tenth = [None if value is None else value / 10 for value in (line.slope, line.lower, line.upper)]
    reason = why(line=line.reason, r=r.reason, HR_per_SD=per_sd.reason)
    recurred = int(times.judges.recurred.sum())
    shown = {
        "endpoint": judged.judges.label,
        "n": f"{line.n:,}",
        "events": f"{recurred:,}",
        "slope": with_interval(tenth[0], tenth[1], tenth[2]),
        "r2": fixed(line.r2),
        "p": p_value(line.p),
        "r": with_interval(r.r, r.lower, r.upper),
        "per_sd": with_interval(per_sd.hr, per_sd.lower, per_sd.upper),
        "c_index": with_interval(c.value, c.lower, c.upper, 3),
    }
    data = {
        "endpoint": judged.endpoint,
        "place": judged.place,
        "n": line.n,
        "recurred": recurred,
        **triple("slope_months_per_unit", line.slope, line.lower, line.upper),
        "intercept_months": line.intercept,
        "r2": line.r2,
        "p": line.p,
        **triple("pearson_r", r.r, r.lower, r.upper),
        **triple("hr_per_sd", per_sd.hr, per_sd.lower, per_sd.upper),
        **triple("c_index", c.value, c.lower, c.upper),
        "reason": reason,
    }
    return shown, data
