"""Printing results: tables for people, JSON for programs."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer


def print_json(value: Any) -> None:
    """Print a result as JSON on standard output."""
    typer.echo(json.dumps(value, default=_plain, indent=1, ensure_ascii=False))


def print_rows(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows of equal keys as a table; nothing where there are none."""
    if not rows:
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    for name in rows[0]:
        numeric = all(isinstance(row[name], int | float) or row[name] is None for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    Console().print(table)


def time_shares(seconds: Mapping[str, float]) -> str:
    """Write the seconds of each kind of work, with its share; images side by side count each for itself."""
    total = sum(seconds.values()) or 1.0
    return ", ".join(f"{name} {value:.1f} s ({value / total:.0%})" for name, value in seconds.items())


def headline_rows(headline: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fold each AUROC and its interval into one cell, for a table that fits a narrow terminal."""
    return [
        {
            "endpoint": row["endpoint"],
            "judges": f"{row['cohort']}, {row['split'].replace('_', ' ')}",
            "model": row["model"],
            "AUROC (95 % interval)": _interval(row["estimate"], row["lower"], row["upper"]),
            "n": row["n"],
            "events": row["events"],
        }
        for row in headline
    ]


def _interval(estimate: float | None, lower: float | None, upper: float | None) -> str:
    if estimate is None:
        return "none"
    return f"{estimate:.3f}" if lower is None else f"{estimate:.3f} ({lower:.3f} to {upper:.3f})"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
