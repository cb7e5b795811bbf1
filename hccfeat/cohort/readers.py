"""Readers of clinical tables: plain CSV, the GDC portal's ``clinical.tsv``, and TCGA-CDR."""

from dataclasses import replace
from pathlib import Path

import fastexcel
import polars as pl

from hccfeat.cohort.descriptions import CohortDescription, RowRule, TableFormat
from hccfeat.cohort.tables import ROW, RawTable, Rejection, Step, read_text_table
from hccfeat.cohort.values import MISSING
from hccfeat.errors import InputError

CDR_SHEET = "TCGA-CDR"


def read_table(path: Path, table_format: TableFormat, description: CohortDescription) -> RawTable:
    """Read a clinical table as texts, one row per patient as far as the format allows.

    Parameters
    ----------
    path : Path
        The file.
    table_format : {"plain", "gdc", "tcga-cdr"}
        ``plain``: delimited text. ``gdc``: the portal's tab-separated export, many rows per case, made one
        per case (:func:`collapse`). ``tcga-cdr``: sheet TCGA-CDR of the workbook of Liu et al. 2018, or that
        sheet as CSV; rows of other cancers are left out.
    description : CohortDescription
        Columns and rules of the cohort.

    Returns
    -------
    RawTable
        All columns as String, with the row numbers of the file and the attrition so far.

    Raises
    ------
    InputError
        If the file cannot be read or lacks a column that the description needs.
    """
    if table_format == "tcga-cdr" and is_workbook(path):
        table = _read_workbook(path)
    else:
        gdc = table_format == "gdc"
        table = read_text_table(path, delimiter="\t" if gdc else None, quoting=not gdc, header=description.header)
    if description.row_ids:
        table = _numbered(table, description.id_column)
    table = _kept(table, description.keep)
    for companion in description.companions:
        other = path.parent / companion.file
        if other.is_file():
            table = _joined(table, description.id_column, other, companion.id_column)
    _require_columns(table, description)
    return collapse(table, description) if table_format == "gdc" else table


def is_workbook(path: Path) -> bool:
    """Tell whether a file is a workbook by its name; of TCGA's tables only TCGA-CDR is one."""
    return path.suffix.lower() in (".xlsx", ".xlsm", ".xls")


def mapped_columns(description: CohortDescription) -> list[str]:
    """Columns of a described table that the cohort uses, the patient id not among them."""
    names = [column.column for column in description.columns.values()]
    for outcome in description.outcomes.values():
        names += [name for name in (outcome.event, outcome.time, outcome.time_if_event) if name]
    if description.redacted:
        names.append(description.redacted.column)
    return list(dict.fromkeys(names))


def collapse(table: RawTable, description: CohortDescription) -> RawTable:
    """Make one row per case of a table that has one per diagnosis and treatment.

    Rule: of the rows of a case, those that ``description.prefer`` names (its primary diagnosis) are
    believed, or all of them where there is none. A column that they agree on, missing cells aside, takes
    that value; where they disagree the value is missing and the disagreement is reported.

    Parameters
    ----------
    table : RawTable
        Many rows per case.
    description : CohortDescription
        Names the id column, the columns in use and the preferred rows.

    Returns
    -------
    RawTable
        Id column and mapped columns only; ``row_number`` is the case's first believed row.
    """
    key, columns = description.id_column, [c for c in mapped_columns(description) if c in table.columns]
    frame = table.frame
    if description.prefer:
        believed = pl.col(description.prefer.column).is_in(list(description.prefer.values))
        frame = frame.with_columns(believed.alias("_believed"))
        frame = frame.filter(pl.col("_believed") | ~pl.col("_believed").any().over(key))
    values = [pl.col(name).filter(~_missing(name, description)).unique(maintain_order=True) for name in columns]
    cases = frame.group_by(key, maintain_order=True).agg(pl.col(ROW).min(), *values)
    rejected = [
        Rejection(row, name, f"the rows of the case hold {count} different values")
        for name in columns
        for row, count in cases.select(ROW, pl.col(name).list.len()).filter(pl.col(name) > 1).rows()
    ]
    single = [
        pl.when(pl.col(name).list.len() == 1).then(pl.col(name).list.first()).fill_null("").alias(name)
        for name in columns
    ]
    one = cases.select(ROW, key, *single)
    step = Step.of(
        "cases (one row each)", one.height, table.frame.height - one.height, "further rows of the same case"
    )
    collapsed = table.with_frame(one, step)
    return replace(collapsed, rejected=(*table.rejected, *rejected))


def _numbered(table: RawTable, column: str) -> RawTable:
    """Give a table without patient ids the numbers of its rows as ids."""
    if column in table.columns:
        raise InputError(
            str(table.path), f"has a column {column}, but is described as having no ids", "Leave out row_ids."
        )
    return table.with_frame(table.frame.with_columns(pl.col(ROW).cast(pl.String).alias(column)))


def _missing(name: str, description: CohortDescription) -> pl.Expr:
    texts = [*MISSING, *(text.lower() for text in description.missing)]
    return pl.col(name).str.strip_chars().str.to_lowercase().is_in(texts)


def _kept(table: RawTable, rule: RowRule | None) -> RawTable:
    if rule is None:
        return table
    if rule.column not in table.columns:
        raise InputError(
            str(table.path),
            f"has no column {rule.column}, which tells whose rows they are",
            "Is it the file that the format expects?",
        )
    frame = table.frame.filter(pl.col(rule.column).is_in(list(rule.values)))
    wanted = f"{rule.column} is {' or '.join(rule.values)}"
    if frame.is_empty():
        raise InputError(str(table.path), f"has no row where {wanted}", "Is it the right file?")
    step = Step.of(f"rows where {wanted}", frame.height, table.frame.height - frame.height, "rows of other studies")
    return table.with_frame(frame, step)


def _joined(table: RawTable, key: str, path: Path, other_key: str) -> RawTable:
    other = read_text_table(path, delimiter="\t", quoting=False)
    if key not in table.columns or other_key not in other.columns:
        raise InputError(
            str(path), f"has no column {other_key}", "Move it away, or export it again beside the table."
        )
    # One row per case: of a case with several, the first; the mapped columns of the real file agree.
    extra = [name for name in other.columns if name not in table.columns]
    right = other.frame.select(pl.col(other_key).alias(key), *extra).unique(key, keep="first", maintain_order=True)
    joined = table.frame.join(right, on=key, how="left", maintain_order="left", validate="m:1")
    joined = joined.with_columns(pl.col(extra).fill_null(""))
    return replace(table.with_frame(joined), companions=(*table.companions, path))


def _require_columns(table: RawTable, description: CohortDescription) -> None:
    optional = {column.column for column in description.columns.values() if column.optional}
    needed = [description.id_column, *(name for name in mapped_columns(description) if name not in optional)]
    if description.prefer:
        needed.append(description.prefer.column)
    absent = [name for name in needed if name not in table.columns]
    if absent:
        shown = ", ".join(table.columns[:12]) + (", ..." if len(table.columns) > 12 else "")
        raise InputError(
            str(table.path),
            f"lacks the columns {', '.join(absent)} (it has {shown})",
            "Rename the columns, give the right --format, or describe the table in "
            "data_catalog/cohorts/<cohort>.toml of the study.",
        )


def _read_workbook(path: Path) -> RawTable:
    if not path.is_file():
        raise InputError(str(path), "does not exist", "Check the path.")
    try:
        frame = pl.read_excel(
            path,
            engine="calamine",
            sheet_name=CDR_SHEET,
            read_options={"dtypes": "string"},
            drop_empty_rows=False,
        )
    except (fastexcel.FastExcelError, ValueError, OSError) as error:
        problem = f"cannot be read as a workbook with a sheet {CDR_SHEET} ({error})".replace("\n", " ")
        raise InputError(str(path), problem, "Download the TCGA-CDR workbook again.") from error
    texts = frame.select(pl.all().cast(pl.String).str.strip_chars().fill_null(""))
    numbered = texts.select(pl.int_range(2, pl.len() + 2, dtype=pl.Int64).alias(ROW), pl.all())
    return RawTable(path, numbered, steps=(Step("rows in the table", numbered.height),))
