"""Figures of the treatment questions: months by arm, and a score against months."""

import textwrap
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from hccfeat.analysis.treatment import Comparison, ScoreAndTime
from hccfeat.report.canvas import PALETTE, drawing
from hccfeat.report.formatting import p_words, with_interval
from hccfeat.report.prognosis_figures import filled_points, finished_svg, panel_row, strip_of_months


def comparison_figure(key: str, panels: Sequence[Comparison], *, title: str, simulated: bool) -> Markup:
    """Draw months of two groups, one panel per comparison: filled = recurred, open = censored (P1, Fig 7C-E).

    Parameters
    ----------
    key : str
        HTML id of the figure.
    panels : sequence of Comparison
        One or more; a group may be empty.
    title : str
        For screen readers.
    simulated : bool
        Print the watermark.
    """
    with drawing():
        figure, axes_of = panel_row(len(panels))
        spoken = []
        for axes, found in zip(axes_of, panels, strict=True):
            for position in (0, 1):
                strip_of_months(axes, position, found.months[position], found.recurred[position], PALETTE[position])
            names = [f"{group}\nn = {n}" for group, n in zip(found.groups, found.n, strict=True)]
            axes.set_xticks([0, 1], names)
            axes.set_xlim(-0.6, 1.6)
            axes.grid(visible=False, axis="x")
            name = textwrap.fill(found.name, 34)
            axes.set_title(f"{name}\n{found.test.test}, {p_words(found.test.p)}", fontsize=8.4)
            spoken.append(f"{found.name}: {found.test.test} {p_words(found.test.p)}")
        axes_of[0].set_ylabel("Months without recurrence")
        return finished_svg(figure, axes_of, key, title, spoken, simulated)


def score_figure(key: str, panels: Sequence[ScoreAndTime], *, title: str, simulated: bool) -> Markup:
    """Draw months against a score with the least-squares line: filled = recurred, open = censored (P1, Fig 7B).

    Parameters as for :func:`comparison_figure`; every panel has at least one patient.
    """
    with drawing():
        figure, axes_of = panel_row(len(panels))
        spoken = []
        for axes, found in zip(axes_of, panels, strict=True):
            filled_points(axes, found.score, found.months, found.recurred, PALETTE[0])
            if found.line.slope is not None and found.line.intercept is not None:
                ends = np.array([found.score.min(), found.score.max()])
                axes.plot(ends, found.line.intercept + found.line.slope * ends, color=PALETTE[1], linewidth=1.6)
            r = found.correlation
            text = f"r {with_interval(r.r, r.lower, r.upper)}, {p_words(r.p)}"
            axes.set_title(text, fontsize=9.2)
            axes.set_xlabel(found.label)
            spoken.append(f"{found.label}: {text}, n {r.n}")
        axes_of[0].set_ylabel("Months without recurrence")
        return finished_svg(figure, axes_of, key, title, spoken, simulated)
