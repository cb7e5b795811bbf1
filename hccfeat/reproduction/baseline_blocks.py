"""Baseline tables as blocks: two groups of patients, the tests, and the printed counts beside ours."""

from collections.abc import Sequence
from typing import Any

from hccfeat.analysis.baseline import CodedRow, NumberRow
from hccfeat.report.formatting import MISSING, fixed, p_value, with_interval
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Table
from hccfeat.reproduction.printed import difference, printed

TEST_RULE = (
    "Test of counts: chi-square with Yates' correction if every observed cell is at least 5, else Fisher's exact "
    "test (P1 reading 32). Test of numbers: Welch's t if both groups pass Shapiro-Wilk, else Wilcoxon rank-sum (P1 "
    "reading 31). SMD: standardised mean difference, first minus second group; beyond 0.1 either way groups are "
    "usually called unlike, whatever P says. Cut points: data_catalog/codings/recurrence.toml (P1 reading 34b)."
)


def coded_table(
    rows: Sequence[CodedRow], groups: tuple[str, str], caption: str, *, printed_table: str | None = None
) -> Table:
    """Counts of every variable in two groups of patients, with the paper's test and the SMD.

    Parameters
    ----------
    rows : sequence of CodedRow
        From :func:`hccfeat.analysis.baseline.compare_coded`.
    groups : (str, str)
        Headings of the two groups.
    caption : str
        What the table shows.
    printed_table : str, optional
        Table of the printed values to show beside ours, with differences in percentage points; its P values too
        where the paper prints them.
    """
    with_p = printed_table is not None and printed(printed_table, "p") is not None
    cells, data = [], []
    for row in rows:
        for level in (0, 1):
            cell, numbers = _level(row, level, groups, printed_table)
            cells.append(cell)
            data.append(numbers)
    columns = [Column("level", "Level"), *(Column(f"count{k}", group, "right") for k, group in enumerate(groups))]
    columns += [Column("test", "Test"), Column("p", "P", "right"), Column("smd", "SMD (95 % CI)", "right")]
    if printed_table is not None:
        columns += [Column(f"printed{k}", f"Printed: {group}", "right") for k, group in enumerate(groups)]
        columns.append(
            Column("points", "Difference, points", "right", "our share minus the printed one, both groups")
        )
    if with_p:
        columns += [Column("printed_p", "Printed P", "right"), Column("difference_p", "Difference of P", "right")]
    return Table(columns, cells, caption, group="variable", data=data)


def number_table(rows: Sequence[NumberRow], groups: tuple[str, str], caption: str) -> Table:
    """Quartiles of every numeric variable in two groups of patients, with the test and the SMD."""
    cells, data = [], []
    for row in rows:
        cells.append(
            {
                "variable": row.label,
                **{f"group{k}": _quartiles(row, k) for k in (0, 1)},
                "test": _with_reason(row.test.test, row.test.reason),
                "p": p_value(row.test.p),
                "smd": with_interval(row.smd.value, row.smd.lower, row.smd.upper),
            }
        )
        for k, group in enumerate(groups):
            low, middle, high = row.quartiles[k] or (None, None, None)
            facts = {"variable": row.variable, "group": group, "n": row.test.n[k], "missing": row.missing[k]}
            facts |= {"quartile1": low, "median": middle, "quartile3": high, "test": row.test.test, "p": row.test.p}
            facts |= {"smd": row.smd.value, "smd_lower": row.smd.lower, "smd_upper": row.smd.upper}
            data.append(facts)
    columns = [Column("variable", "Variable"), *(Column(f"group{k}", group) for k, group in enumerate(groups))]
    columns += [Column("test", "Test"), Column("p", "P", "right"), Column("smd", "SMD (95 % CI)", "right")]
    return Table(columns, cells, caption, data=data)


def _level(
    row: CodedRow, level: int, groups: tuple[str, str], printed_table: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    coding, first = row.coding, level == 0
    name = (coding.yes, coding.no)[level]
    test, smd = row.test, row.smd
    missing = f"; missing {row.missing[0]} / {row.missing[1]}" if any(row.missing) else ""
    cell: dict[str, Any] = {
        "variable": coding.label + missing,
        "level": name,
        "test": _with_reason(test.test, test.reason) if first else "",
        "p": p_value(test.p) if first else "",
        "smd": with_interval(smd.value, smd.lower, smd.upper) if first else "",
    }
    data: dict[str, Any] = {"variable": coding.variable, "level": name}
    known = printed(printed_table, f"{coding.variable} {name}") if printed_table else None
    totals = printed(printed_table, "n") if printed_table else (0, 0)
    points = []
    for k, group in enumerate(groups):
        count, n = row.counts[k][level], sum(row.counts[k])
        share = count / n if n else None
        cell[f"count{k}"] = _share(count, n)
        data |= {f"group{k + 1}": group, f"count{k + 1}": count, f"n{k + 1}": n, f"missing{k + 1}": row.missing[k]}
        if printed_table:
            apart = difference(share, known[k] / totals[k]) if known else None
            cell[f"printed{k}"] = _share(known[k], totals[k]) if known else MISSING
            points.append(MISSING if apart is None else f"{100 * apart:+.1f}")
            data |= {f"printed{k + 1}": known[k] if known else None, f"share_difference{k + 1}": apart}
    cell["points"] = " / ".join(points)
    data |= {"test": test.test, "p": test.p, "reason": test.reason}
    data |= {"smd": smd.value, "smd_lower": smd.lower, "smd_upper": smd.upper}
    printed_p = printed(printed_table, "p", coding.variable) if printed_table else None
    if printed_p is not None:
        apart = difference(test.p, printed_p)
        cell["printed_p"] = fixed(printed_p) if first else ""
        cell["difference_p"] = (MISSING if apart is None else f"{apart:+.3f}") if first else ""
        data |= {"printed_p": printed_p, "p_difference": apart}
    return cell, data


def _share(count: int, n: int) -> str:
    return f"{count} ({100 * count / n:.1f} %)" if n else f"{count}"


def _with_reason(test: str, reason: str) -> str:
    return f"{test}: {reason}" if reason else test


def _quartiles(row: NumberRow, group: int) -> str:
    found = row.quartiles[group]
    if found is None:
        return MISSING
    low, middle, high = found
    return f"{middle:.3g} ({low:.3g} to {high:.3g}), n = {row.test.n[group]}"
