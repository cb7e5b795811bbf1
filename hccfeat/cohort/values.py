"""From the text of a cell to a clinical value, or the reason why not."""

import math
import re

from hccfeat.cohort.descriptions import Code, Variable

MISSING = frozenset(
    {
        "",
        "'--",
        "--",
        "na",
        "n/a",
        "#n/a",
        "#na",
        "nan",
        "null",
        "nil",
        "missing",
        "unknown",
        "not reported",
        "not available",
        "not applicable",
        "not evaluated",
        "[not available]",
        "[not applicable]",
        "[not evaluated]",
        "[not reported]",
        "[unknown]",
        "[discrepancy]",
        "[completed]",
        "[pending]",
    }
)
"""Texts that mean "no value" in every table, in lower case. The bare "-" is not one: it may mean negative."""

FLAGS: dict[str, bool] = {
    **dict.fromkeys(("1", "yes", "y", "true", "positive", "pos", "present"), True),
    **dict.fromkeys(("0", "no", "n", "false", "negative", "neg", "absent"), False),
}
EVENTS: dict[str, bool] = {"1": True, "true": True, "0": False, "false": False}
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")


def is_missing(text: str | None, also: frozenset[str] = frozenset()) -> bool:
    """Tell whether a cell holds no value; ``also`` are a cohort's own texts, in lower case."""
    cleaned = (text or "").strip().lower()
    return cleaned in MISSING or cleaned in also


def parse_number(text: str) -> float:
    """Read a finite decimal number.

    Raises
    ------
    ValueError
        With the reason, which never repeats a text that is not a number: it might identify a patient.
    """
    cleaned = text.strip()
    if _DECIMAL_COMMA.fullmatch(cleaned):
        message = "is not a number (a decimal comma? write a point)"
        raise ValueError(message)
    if not _NUMBER.fullmatch(cleaned):
        message = "is not a number"
        raise ValueError(message)
    number = float(cleaned)
    if not math.isfinite(number):
        message = "is not a finite number"
        raise ValueError(message)
    return number


def parse_flag(text: str, coding: dict[str, bool]) -> bool:
    """Read a yes or no; ``coding`` has lower-case keys, and 1.0 is 1.

    Raises
    ------
    ValueError
        With the reason.
    """
    key = text.strip().lower()
    if key not in coding and _NUMBER.fullmatch(key) and float(key) in (0.0, 1.0):
        key = str(int(float(key)))
    if key not in coding:
        shown = "" if len(coding) > 6 else f" ({', '.join(coding)})"
        message = f"is not one of the known codes{shown}"
        raise ValueError(message)
    return coding[key]


def parse_value(text: str, variable: Variable) -> Code:
    """Read one clinical value as the dictionary, or the cohort's description, declares it.

    Returns
    -------
    float, bool or str
        As ``variable.type`` says; never NaN.

    Raises
    ------
    ValueError
        With the reason: not a number, outside the range, an unknown code.
    """
    coding = {key.lower(): value for key, value in variable.coding.items()}
    key = text.strip().lower()
    if variable.type == "text":
        return text.strip()
    if variable.type == "flag":
        return parse_flag(text, FLAGS | {code: bool(value) for code, value in coding.items()})
    if variable.type == "category":
        levels = {level.lower(): level for level in variable.levels}
        if key in coding or key in levels:
            return str(coding[key]) if key in coding else levels[key]
        message = f"is not one of the codes known ({', '.join(variable.levels)})"
        raise ValueError(message)
    return _checked(float(coding[key]) if key in coding else _converted(parse_number(text), variable), variable)


def conversion(text: str, variable: Variable) -> str:
    """Say how a number was converted by the rule on other units, or return an empty text.

    Parameters
    ----------
    text : str
        A cell that :func:`parse_value` can read.
    variable : Variable
        As the cohort records it.
    """
    other = variable.other_unit
    if other is None or text.strip().lower() in {key.lower() for key in variable.coding}:
        return ""
    number = parse_number(text)
    if number <= other.above:
        return ""
    return f"is {number:g}, above {other.above:g}: read as {other.unit}, kept as {number * other.factor:g}"


def _converted(number: float, variable: Variable) -> float:
    other = variable.other_unit
    return number * (other.factor if other is not None and number > other.above else variable.factor)


def _checked(number: float, variable: Variable) -> float:
    if variable.allowed is not None and number not in variable.allowed:
        message = f"is {number:g}; possible are {', '.join(f'{value:g}' for value in variable.allowed)}"
        raise ValueError(message)
    if variable.range is not None and not variable.range[0] <= number <= variable.range[1]:
        unit = f" {variable.unit}" if variable.unit else ""
        message = f"is {number:g}, outside {variable.range[0]:g} to {variable.range[1]:g}{unit} (another unit?)"
        raise ValueError(message)
    return number
