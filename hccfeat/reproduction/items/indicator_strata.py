"""Blocks of item 26: the risk groups inside strata of indicators (P1, Fig 6B)."""

from typing import Any

from markupsafe import Markup

from hccfeat.analysis.indicator_hazards import Stratum, strata, two_groups
from hccfeat.analysis.results import GroupComparison
from hccfeat.report.figures import survival_figure
from hccfeat.report.formatting import fixed, p_value, significant
from hccfeat.reproduction.blocks import Block, Figure, Note, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.judged import (
    INDICATOR_HORIZONS,
    JudgedHorizon,
    columns,
    everywhere,
    printed_text,
    ratio_limits,
    remarked,
)

DRAWN = ("1y",)
STRATA = ("vascular_invasion", "tumour_size")


def strata_curves(context: Context) -> list[Block]:
    """Compare the risk groups inside vascular-invasion and tumour-size strata (Fig 6B)."""
    found, notes = everywhere(context, INDICATOR_HORIZONS)
    variables = context.variables
    rows, data = [], []
    figures: list[Block] = []
    for judged in found:
        for coding in two_groups(variables, [name for name in STRATA if name in variables]):
            lower, upper, missing = strata(judged.data, judged.judges, coding, context.config.analysis)
            for stratum in (lower, upper):
                shown, numbers = _stratum_cells(judged, stratum, missing)
                rows.append(shown)
                data.append(numbers)
                if judged.endpoint in DRAWN and stratum.groups is not None and stratum.groups.curves:
                    figures.append(_stratum_figure(judged, stratum.text, stratum.groups))
    numbers_shown = (
        ("n", "n"),
        ("events", "Events"),
        ("sizes", "n low, high"),
        ("chisq", "Log-rank χ²"),
        ("p", "P"),
        ("printed", "Printed"),
        ("hr", "HR high against low"),
        ("limits", "95 % CI"),
        ("missing", "Without the indicator"),
    )
    shown_columns = columns(("stratum", "Stratum"), numbers=numbers_shown) + columns(("note", "Not given, why"))
    caption = "PPS risk groups, cut at the median of all training patients, inside strata of the judges"
    note = Note("The paper does not name the horizon of these curves; 1 year is drawn, 2 years are in the table.")
    return [Table(remarked(shown_columns, rows), rows, caption, group="place", data=data), *figures, note, *notes]


def _stratum_cells(judged: JudgedHorizon, stratum: Stratum, missing: int) -> tuple[dict[str, Any], dict[str, Any]]:
    groups, hazard = stratum.groups, stratum.hazard
    sizes = {curve.label: curve.n for curve in groups.curves} if groups else {}
    low, high = sizes.get("low risk", 0), sizes.get("high risk", 0)
    chisq, p = (groups.logrank_chisq, groups.logrank_p) if groups else (None, None)
    hr = (hazard.hr, hazard.lower, hazard.upper) if hazard else (None, None, None)
    shown = {
        "place": f"{judged.judges.label}, {judged.where}",
        "stratum": stratum.text,
        "n": f"{stratum.n:,}",
        "events": f"{stratum.events:,}",
        "sizes": f"{low}, {high}",
        "chisq": fixed(chisq, 2),
        "p": p_value(p),
        "printed": printed_text("strata", judged.printed_place),
        "hr": significant(hr[0], 3),
        "limits": ratio_limits(hr[1], hr[2]),
        "missing": f"{missing:,}",
        "note": stratum.reason,
    }
    data = {
        "endpoint": judged.endpoint,
        "place": judged.place,
        "stratum": stratum.text,
        "n": stratum.n,
        "events": stratum.events,
        "n_low": low,
        "n_high": high,
        "logrank_chisq": chisq,
        "logrank_p": p,
        "hr": hr[0],
        "lower": hr[1],
        "upper": hr[2],
        "without_indicator": missing,
        "note": stratum.reason,
    }
    return shown, data


def _stratum_figure(judged: JudgedHorizon, text: str, groups: GroupComparison) -> Figure:
    def draw(key: str, simulated: bool) -> Markup:
        return survival_figure(key, groups, title=text, simulated=simulated)

    steps = [
        {"stratum": text, "group": curve.label, "months": float(t), "event_free": float(s)}
        for curve in groups.curves
        for t, s in zip(curve.times, curve.survival, strict=True)
    ]
    return Figure(draw, f"{judged.judges.label}, {judged.where}: {text}.", steps)
