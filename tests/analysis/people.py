"""Small populations from plain arrays, for tests of what is computed on them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.analysis.data import Population
from hccfeat.analysis.results import SplitRole


def people(
    time: ArrayLike,
    event: ArrayLike,
    indicators: ArrayLike | None = None,
    *,
    horizon: float | None = None,
    names: Sequence[str] | None = None,
    split: SplitRole = "held_out",
    **changes: Any,
) -> Population:
    """Patients with uncut times; time, event and label are cut at the horizon."""
    months, recurred = np.asarray(time, dtype=float), np.asarray(event, dtype=float)
    x = np.zeros((len(months), 0)) if indicators is None else np.asarray(indicators, dtype=float)
    x = x[:, None] if x.ndim == 1 else x
    cut, happened, y = months, recurred, recurred
    if horizon is not None:
        cut, happened = np.minimum(months, horizon), np.where(months > horizon, 0.0, recurred)
        y = np.where((happened == 0) & (months < horizon), np.nan, happened)
    facts = {"months": months, "recurred": recurred} | changes
    ids = [f"P{k:03d}" for k in range(len(months))]
    listed = [f"x{k}" for k in range(x.shape[1])] if names is None else list(names)
    return Population("internal", split, ids, cut, happened, y, x, listed, **facts)


def cohort(n: int = 150, seed: int = 3, effect: float = 1.0) -> tuple[NDArray, NDArray, NDArray]:
    """Time, event and a standard normal covariate with a log hazard ratio; a third are censored."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=n)
    time = generator.exponential(20 * np.exp(-effect * x))
    censored = generator.uniform(5, 60, n)
    return np.minimum(time, censored) + 0.01, (time <= censored).astype(float), x
