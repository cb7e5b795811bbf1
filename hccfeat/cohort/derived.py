"""Variables that follow from others by a published formula: ALBI score and grade, FIB-4."""

from collections.abc import Callable, Mapping
from math import log10, sqrt
from typing import Any

from hccfeat.cohort.descriptions import Variable
from hccfeat.errors import ConfigError

ALBI_GRADES = (-2.60, -1.39)
"""Highest scores of grades 1 and 2 (Johnson et al. 2015)."""


def albi_score(albumin: float, bilirubin: float) -> float:
    """Albumin-bilirubin score (Johnson et al., J Clin Oncol 2015, 33:550-558); lower is better.

    Parameters
    ----------
    albumin : float
        g/L.
    bilirubin : float
        Total bilirubin in umol/L, above zero.
    """
    return 0.66 * log10(bilirubin) - 0.085 * albumin


def albi_grade(albumin: float, bilirubin: float) -> float:
    """Grade 1 up to a score of -2.60, 2 up to -1.39, 3 above; arguments as of :func:`albi_score`."""
    score = albi_score(albumin, bilirubin)
    return 1.0 + sum(score > limit for limit in ALBI_GRADES)


def fib4(age: float, ast: float, alt: float, platelets: float) -> float:
    """FIB-4 index (Sterling et al., Hepatology 2006, 43:1317-1325).

    Parameters
    ----------
    age : float
        Years.
    ast, alt : float
        U/L; ALT above zero.
    platelets : float
        10^9/L, above zero.
    """
    return age * ast / (platelets * sqrt(alt))


FORMULAS: dict[str, tuple[tuple[str, ...], Callable[..., float]]] = {
    "albi_score": (("albumin", "total_bilirubin"), albi_score),
    "albi_grade": (("albumin", "total_bilirubin"), albi_grade),
    "fib4": (("age", "ast", "alt", "platelets"), fib4),
}
"""Variable -> its inputs and the function of them."""


def derive(
    clinical: list[dict[str, Any]], recorded: Mapping[str, Variable], variables: Mapping[str, Variable]
) -> tuple[list[str], list[tuple[int, str, str]]]:
    """Add the derived variables whose inputs a table holds; values are missing where an input is.

    A variable that the table itself holds is not computed, nor one with an input that the table records in another
    unit than the dictionary's (as groups, for instance).

    Parameters
    ----------
    clinical : list of dict
        Checked values by variable, converted to the dictionary's units; gains a key per derived variable.
    recorded : mapping
        Variables that the table holds, as it records them.
    variables : mapping
        The data dictionary.

    Returns
    -------
    (list of str, list of (int, str, str))
        The variables that were computed, and the values that were not kept: row of ``clinical``, variable, reason.

    Raises
    ------
    ConfigError
        If the dictionary derives a variable that has no formula, or from other inputs.
    """
    names, refused = [], []
    for name, variable in variables.items():
        if variable.derived is None:
            continue
        inputs, formula = FORMULAS.get(name, ((), None))
        if formula is None or inputs != variable.derived.inputs:
            known = "; ".join(f"{key} from {', '.join(of)}" for key, (of, _) in FORMULAS.items())
            raise ConfigError(f"variable {name}", "is derived by no known formula", f"There are: {known}.")
        held = all(item in recorded and recorded[item].unit == variables[item].unit for item in inputs)
        if name in recorded or not held:
            continue
        names.append(name)
        for place, row in enumerate(clinical):
            row[name], reason = _value([row[item] for item in inputs], formula, variable)
            if reason:
                refused.append((place, name, reason))
    return names, refused


def _value(
    inputs: list[float | None], formula: Callable[..., float], variable: Variable
) -> tuple[float | None, str]:
    """The value, or None with the reason where all inputs are known."""
    if any(item is None for item in inputs):
        return None, ""
    try:
        value = formula(*inputs)
    except (ValueError, ZeroDivisionError):
        return None, f"{variable.label} is not defined for its inputs"
    low, high = variable.range or (value, value)
    if not low <= value <= high:
        return None, f"{variable.label} would be {value:g}, outside {low:g} to {high:g}"
    return value, ""
