"""Baseline tables: two groups of patients compared on every clinical variable, with the paper's tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.analysis.codings import Coding
from hccfeat.stats.contingency import (
    CountTest,
    StandardisedDifference,
    compare_counts,
    smd_of_means,
    smd_of_shares,
)
from hccfeat.stats.groups import GroupTest, compare_groups
from hccfeat.store.catalog import query


@dataclass(frozen=True)
class CodedRow:
    """A variable in two groups of patients.

    ``counts`` is ((yes, no) of the first group, (yes, no) of the second), ``missing`` counts the others.
    """

    coding: Coding
    counts: tuple[tuple[int, int], tuple[int, int]]
    missing: tuple[int, int]
    test: CountTest
    smd: StandardisedDifference


@dataclass(frozen=True)
class NumberRow:
    """A numeric variable in two groups: quartiles (None without patients), the two-sample test and the SMD."""

    variable: str
    label: str
    quartiles: tuple[tuple[float, float, float] | None, tuple[float, float, float] | None]
    missing: tuple[int, int]
    test: GroupTest
    smd: StandardisedDifference


def clinical_table(study: Path, cohort: str) -> pl.DataFrame:
    """Clinical variables of a cohort's patients, with ``patient_id``, sorted by it."""
    return query(
        study,
        "SELECT c.* FROM clinical AS c JOIN patient AS p USING (patient_id) WHERE p.cohort = ? "
        "ORDER BY c.patient_id",
        [cohort],
    )


def compare_coded(first: pl.DataFrame, second: pl.DataFrame, codings: Sequence[Coding]) -> list[CodedRow]:
    """Compare two groups of patients on the paper's two-valued variables (P1 readings 32 and 34b).

    Parameters
    ----------
    first, second : DataFrame
        Rows of :func:`clinical_table`; a variable that is missing for a patient leaves that patient out of its
        row. The standardised mean difference is that of the shares of ``yes``, first minus second.
    codings : sequence of Coding
        One row each.
    """
    rows = []
    for coding in codings:
        a, b = coding.coded(first), coding.coded(second)
        counts = _counts(a), _counts(b)
        totals = sum(counts[0]), sum(counts[1])
        rows.append(
            CodedRow(
                coding,
                counts,
                (a.null_count(), b.null_count()),
                compare_counts(np.transpose(counts)),
                smd_of_shares((counts[0][0], totals[0]), (counts[1][0], totals[1])),
            )
        )
    return rows


def compare_numbers(first: pl.DataFrame, second: pl.DataFrame, names: dict[str, str]) -> list[NumberRow]:
    """Compare two groups of patients on variables as recorded (test of P1 reading 31).

    Parameters
    ----------
    first, second : DataFrame
        Rows of :func:`clinical_table`.
    names : dict
        Numeric variable -> label; those without a column are passed over.
    """
    rows = []
    for name, label in names.items():
        if name not in first.columns or not first.schema[name].is_numeric():
            continue
        a, b = (frame[name].drop_nulls().cast(pl.Float64).to_numpy() for frame in (first, second))
        rows.append(
            NumberRow(
                name,
                label,
                (_quartiles(a), _quartiles(b)),
                (first[name].null_count(), second[name].null_count()),
                compare_groups(a, b),
                smd_of_means(a, b),
            )
        )
    return rows


def _counts(coded: pl.Series) -> tuple[int, int]:
    yes = int(coded.sum() or 0)
    return yes, len(coded) - coded.null_count() - yes


def _quartiles(values: NDArray[np.float64]) -> tuple[float, float, float] | None:
    if not len(values):
        return None
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return low, middle, high
