"""Pages of the documentation that are written from the data catalog and the configuration models.

``python -m hccfeat.cohort.pages docs`` writes them; a test holds them up to date.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hccfeat.cohort.descriptions import (
    CohortDescription,
    ColumnMap,
    Companion,
    Derivation,
    Endpoint,
    OtherUnit,
    OutcomeMap,
    RowRule,
    Variable,
)
from hccfeat.cohort.dictionary import Dictionary, load_dictionary
from hccfeat.cohort.items import FOLDER, ItemSet, load_items
from hccfeat.cohort.values import MISSING
from hccfeat.config import MriRecipe, Recipe, StudyConfig
from hccfeat.files import write_text_atomically
from hccfeat.resources import resource_folder

BEGIN, END = "<!-- begin: {} (generated) -->", "<!-- end: {} -->"
_WRITTEN_BY = "`python -m hccfeat.cohort.pages docs`"
_TITLE = f"# Data dictionary\n\nWritten from `data_catalog/` by {_WRITTEN_BY}; do not edit.\n"


def dictionary_page(dictionary: Dictionary) -> str:
    """Return ``docs/data-dictionary.md``: variables, missing values, endpoints and cohorts, as Markdown."""
    missing = ", ".join(f"`{text}`" for text in sorted(MISSING) if text)
    parts = [
        _TITLE,
        "## Variables\n",
        _table(
            ("variable", "label", "type", "unit", "believed values", "codes", "upper group", "meaning"),
            [_variable_row(name, variable) for name, variable in dictionary.variables.items()],
        ),
        f"The six clinical indicators: {', '.join(f'`{name}`' for name in dictionary.indicators)}.\n",
        "Flags also know 1/0, yes/no, y/n, true/false, positive/negative, pos/neg and present/absent. "
        f"Blank cells and these texts mean missing, whatever their case: {missing}.\n",
        "## Endpoints\n",
        _table(
            ("endpoint", "label", "outcome", "horizon (months)", "rule"),
            [
                (f"`{name}`", e.label, _predicted(e), _number(e.horizon_months) or "none", e.exclusion)
                for name, e in dictionary.endpoints.items()
            ],
        ),
        "## Item sets\n",
        _table(
            ("item set", "title", "items"),
            [
                (f"`{found.name}`", found.title, ", ".join(f"`{item}`" for item in found.items))
                for found in _shipped_item_sets()
            ],
        ),
        "## Cohorts\n",
        *(_cohort_part(name, cohort, dictionary) for name, cohort in sorted(dictionary.cohorts.items())),
    ]
    return "\n".join(parts)


def settings_table(model: type[BaseModel]) -> str:
    """Return a Markdown table of a model's keys in TOML notation, with type, default and meaning."""
    return _table(("key", "values", "default", "meaning"), _settings(model, ""))


def with_generated_parts(page: str) -> str:
    """Return ``docs/study-file.md`` with the parts between its markers written anew."""
    parts: dict[str, type[BaseModel]] = {
        "study": StudyConfig,
        "recipe": Recipe,
        "cohort": CohortDescription,
        "column": ColumnMap,
        "other-unit": OtherUnit,
        "outcome": OutcomeMap,
        "rows": RowRule,
        "companion": Companion,
        "variable": Variable,
        "derivation": Derivation,
        "endpoint": Endpoint,
        "items": ItemSet,
        "mri-recipe": MriRecipe,
    }
    for name, model in parts.items():
        begin, end = BEGIN.format(name), END.format(name)
        before, rest = page.split(begin)
        page = f"{before}{begin}\n{settings_table(model)}{end}{rest.split(end)[1]}"
    return page


def write_pages(docs: Path) -> None:
    """Write the generated pages into the folder ``docs``."""
    write_text_atomically(docs / "data-dictionary.md", dictionary_page(load_dictionary()))
    study_file = docs / "study-file.md"
    write_text_atomically(study_file, with_generated_parts(study_file.read_text(encoding="utf-8")))


def _shipped_item_sets() -> list[ItemSet]:
    folder = resource_folder("data_catalog") / FOLDER
    return [load_items(path.stem) for path in sorted(folder.glob("*.toml"))]


def _predicted(endpoint: Endpoint) -> str:
    if endpoint.variable is None:
        return endpoint.outcome
    return f"`{endpoint.variable}`: {', '.join(_value(level) for level in endpoint.positive)}"


def _variable_row(name: str, variable: Variable) -> tuple[str, ...]:
    codes = "; ".join(f"`{text}` = {_value(code)}" for text, code in variable.coding.items())
    upper = f"> {_number(variable.cut)}" if variable.cut is not None else ""
    believed = _believed(variable.range, variable.allowed)
    return (
        f"`{name}`",
        variable.label,
        variable.type,
        variable.unit,
        believed,
        codes,
        upper,
        variable.meaning,
    )


def _cohort_part(name: str, cohort: CohortDescription, dictionary: Dictionary) -> str:
    months = cohort.minimum_follow_up_months
    read = ", ".join(f"`{item}`" for item in cohort.predictors)
    predictors = f" Clinical models read {read}." if read else ""
    follow_up = f"{months:g} months" if months else "none"
    ids = "the number of the row" if cohort.row_ids else f"`{cohort.id_column}`"
    lines = [
        f"### `{name}`: {cohort.title}\n",
        f"Source: {cohort.source}. Format: {cohort.format}. Patient id: {ids}. Times in "
        f"{cohort.time_unit}. Minimum follow-up: {follow_up}. {cohort.note}{predictors}\n",
    ]
    if cohort.columns:
        rows = []
        for variable, (column, recorded) in dictionary.recorded(cohort).items():
            own = cohort.columns[variable].coding
            codes = "; ".join(f"`{text}` = {_value(code)}" for text, code in own.items())
            believed = _believed(recorded.range, recorded.allowed)
            note = cohort.columns[variable].note
            if recorded.other_unit is not None:
                note = f"{note} Above {recorded.other_unit.above:g}: {recorded.other_unit.unit}.".strip()
            rows.append((f"`{variable}`", f"`{column}`", recorded.unit, believed, codes, note))
        lines.append(_table(("variable", "column", "unit", "believed values", "own codes", "note"), rows))
    else:
        lines.append("Columns: the variables' own names.\n")
    outcomes = [
        (
            f"`{outcome}`",
            f"same as `{source.same_as}`" if source.same_as else f"`{source.event}`",
            " / ".join(f"`{column}`" for column in (source.time_if_event, source.time) if column),
            source.note,
        )
        for outcome, source in cohort.outcomes.items()
    ]
    if outcomes:
        lines.append(_table(("outcome", "event", "time (with event / without)", "note"), outcomes))
    else:
        lines.append(f"Outcomes: `<outcome>_event` and `<outcome>_{cohort.time_unit}`.\n")
    return "\n".join(lines)


def _settings(model: type[BaseModel], prefix: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and not field.is_required():
            rows += _settings(inner, f"{prefix}{name}.")
        else:
            default = _default(field)
            rows.append((f"`{prefix}{name}`", _type_name(inner), default, field.description or ""))
    return rows


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "none" if value in (None, "", (), {}) else _value(value)


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(_value(value) for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(part) for part in arguments if part is not NoneType)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"table of {_type_name(arguments[1])}"
    if annotation is OtherUnit:
        return "other unit"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    if annotation in names:
        return names[annotation]
    return {
        RowRule: "rows",
        ColumnMap: "column",
        OutcomeMap: "outcome",
        Companion: "companion",
        Derivation: "derivation",
    }.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return str(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _believed(limits: tuple[float, float] | None, allowed: tuple[float, ...] | None) -> str:
    if allowed is not None:
        return ", ".join(f"{value:g}" for value in allowed)
    return f"{limits[0]:.12g} to {limits[1]:.12g}" if limits else ""


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
