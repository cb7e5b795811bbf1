"""Sets of clinical items, and the matrix that networks and models read them from."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from hccfeat.cohort.dictionary import Dictionary, load_dictionary
from hccfeat.config import Frozen
from hccfeat.config.files import load_named
from hccfeat.errors import ConfigError

FOLDER = "item_sets"
NEVER_ITEMS = frozenset({"mvi_grade", "vascular_invasion", "bclc", "survived_1y", "treatment"})
"""What tells the answer of an endpoint, or was decided after it: no item of any set."""


class ItemSet(Frozen):
    """A named, ordered set of clinical items (P2, section 2.1: history, blood tests and MRI hallmarks)."""

    name: str = Field(description="name of the file")
    title: str = Field("", description="for the report")
    items: tuple[str, ...] = Field(min_length=1, description="variables of the data dictionary, in this order")


def load_items(name: str, study: Path | None = None) -> ItemSet:
    """Read a set of items, the study's own before the shipped one.

    Parameters
    ----------
    name : str
        File name without suffix in ``data_catalog/item_sets``.
    study : Path, optional
        Study folder.

    Returns
    -------
    ItemSet
        Every item is a variable of the data dictionary: a number, a flag or a category.

    Raises
    ------
    ConfigError
        If there is none of this name, it names an item twice, or one that cannot be an item.
    """
    found = load_named("item set", FOLDER, name, ItemSet, study)
    dictionary = load_dictionary(study)
    twice = sorted({item for item in found.items if found.items.count(item) > 1})
    unfit = [item for item in found.items if item in NEVER_ITEMS or not _is_item(item, dictionary)]
    if twice or unfit or found.name != name:
        problem = (
            f"names items twice: {', '.join(twice)}"
            if twice
            else f"names {', '.join(unfit)}, no item (an outcome or stage, a text, or unknown to the dictionary)"
            if unfit
            else f"calls itself {found.name}"
        )
        raise ConfigError(f"item set {name}", problem, f"Correct data_catalog/{FOLDER}/{name}.toml.")
    return found


def item_matrix(frame: pl.DataFrame, items: ItemSet, dictionary: Dictionary) -> NDArray[np.float64]:
    """Turn rows of the catalog's table ``clinical`` into numbers.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per patient, the columns as in the table ``clinical``; an item without a column is missing
        for everybody.
    items : ItemSet
        Which items, in which order.
    dictionary : Dictionary
        Types and levels of the variables.

    Returns
    -------
    ndarray of float64, shape (rows, items)
        In the units of the dictionary; flags 0 and 1, categories as the rank of their level, NaN where
        missing. Nothing is imputed or scaled here: that is learnt inside the training patients.
    """
    columns = [item_column(frame, item, dictionary).to_numpy() for item in items.items]
    return np.column_stack(columns).astype(np.float64)


def item_column(frame: pl.DataFrame, item: str, dictionary: Dictionary) -> pl.Series:
    """Return one variable as Float64 with NaN where missing; arguments as of :func:`item_matrix`."""
    if item not in frame.columns:
        return pl.Series(item, np.full(frame.height, np.nan))
    variable, column = dictionary.variables[item], frame[item]
    if variable.type == "category":
        ranks = {level: float(rank) for rank, level in enumerate(variable.levels)}
        column = column.replace_strict(ranks, default=None, return_dtype=pl.Float64)
    return column.cast(pl.Float64).fill_null(float("nan"))


def _is_item(name: str, dictionary: Dictionary) -> bool:
    variable = dictionary.variables.get(name)
    return variable is not None and variable.type != "text"
