"""The 52 clinical items of simulated MRI patients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from hccfeat.simulation.cohort import Cohort
from hccfeat.simulation.mri.item_models import Diameter, Graded, Measured, Pair, Summed
from hccfeat.simulation.mri.latents import ABSENT, ITEMS, Latents
from hccfeat.simulation.mri.parameters import (
    OWN_ITEMS,
    MriParameters,
    Seed,
    item_names,
    stream,
)

SEXES = ("female", "male")
"""Levels of sex in the order of their codes 0 and 1."""

Values = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Items:
    """Generated items of n patients.

    Attributes
    ----------
    complete : dict of str to float64 (n,)
        All values, rounded as the table prints them.
    shown : dict of str to float64 (n,)
        The same with NaN where the hospital has no value.
    z : dict of str to float64 (n,)
        The standard normal behind each measured or graded item.
    """

    complete: Values
    shown: Values
    z: Values


def draw_items(parameters: MriParameters, latents: Latents, seed: Seed) -> Items:
    """Draw the items that the cohort's own table lacks.

    Each item has random numbers of its own place in the file, and what is missing is drawn apart from the values.
    """
    rng, n = stream(seed, ITEMS), len(latents)
    function = rng.standard_normal(n)
    noise = {name: rng.standard_normal(n) for name in parameters.items}
    complete: Values = {}
    z: Values = {}
    for name, item in parameters.items.items():
        if isinstance(item, Measured | Graded):
            rest = np.sqrt(1 - item.s**2 - item.k**2 - item.f**2)
            z[name] = item.s * latents.s + item.k * latents.k + item.f * function + rest * noise[name]
            complete[name] = _measured(item, z[name]) if isinstance(item, Measured) else _level(item, z[name])
    for name, item in parameters.items.items():
        if isinstance(item, Summed):
            whole = item.middle * np.exp(item.spread * noise[name]) + sum(complete[part] for part in item.of)
            complete[name] = np.round(whole, item.decimals)
        elif isinstance(item, Diameter):
            size = latents.diameter_mm * np.exp(item.spread * noise[name])
            complete[name] = _printable(size, item.range, item.decimals)
    absent = stream(seed, ABSENT).random((len(parameters.items), n)) < parameters.missing.share
    shown = {name: np.where(absent[row], np.nan, complete[name]) for row, name in enumerate(parameters.items)}
    return Items({name: complete[name] for name in parameters.items}, shown, z)


def clinical_items(
    parameters: MriParameters, latents: Latents, cohort: Cohort, seed: Seed
) -> dict[str, list[float | str | None]]:
    """All 52 items of a cohort as its table has them, in the order of item set ``mri52``.

    Parameters
    ----------
    parameters : MriParameters
    latents : Latents
        Of the same patients.
    cohort : Cohort
        Gives age, sex, HBsAg, ALT and AFP, which are complete here.
    seed : int or sequence of int

    Returns
    -------
    dict of str to list
        Values of the n patients, None where missing; sex is ``male`` or ``female``, flags are 0.0 or 1.0.
    """
    drawn = draw_items(parameters, latents, seed).shown
    table: dict[str, list[float | str | None]] = {}
    for name in item_names():
        if name in OWN_ITEMS:
            table[name] = getattr(cohort, name).tolist()
        else:
            table[name] = [None if np.isnan(value) else value for value in drawn[name].tolist()]
    return table


def item_matrix(items: dict[str, list[float | str | None]]) -> NDArray[np.float64]:
    """The items as numbers, float64 (n, 52), NaN where missing, sex by its place in :data:`SEXES`."""

    def number(value: float | str | None) -> float:
        if value is None:
            return np.nan
        return float(SEXES.index(value)) if isinstance(value, str) else float(value)

    return np.array([[number(value) for value in column] for column in items.values()], np.float64).T


def printed(parameters: MriParameters, name: str, value: float) -> str:
    """A value as ``clinical.csv`` shows it; blank where missing."""
    if np.isnan(value):
        return ""
    return f"{value:.{getattr(parameters.items[name], 'decimals', 0)}f}"


def _measured(item: Measured, z: NDArray[np.float64]) -> NDArray[np.float64]:
    value = item.middle + item.spread * z if item.form == "normal" else item.middle * np.exp(item.spread * z)
    return _printable(value, item.range, item.decimals)


def _printable(value: NDArray[np.float64], limits: Pair, decimals: int) -> NDArray[np.float64]:
    return np.round(np.clip(value, limits[0], limits[1]), decimals).astype(np.float64)


def _level(item: Graded, z: NDArray[np.float64]) -> NDArray[np.float64]:
    return item.first + np.searchsorted(norm.ppf(item.cuts), z).astype(np.float64)
