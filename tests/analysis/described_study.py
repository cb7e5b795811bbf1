"""A cohort with a clinical table alone, made up: an indicator that tells, two that do not, and gaps."""

from typing import Any

import numpy as np
import polars as pl

from hccfeat.analysis.data import EndpointData, Population, population

NAMES = ["afp", "bclc", "hbsag"]


def described(
    seed: int = 1,
    n: int = 150,
    *,
    horizon: float | None = 12.0,
    missing: float = 0.1,
    signal: float = 1.0,
    timed: bool = True,
    **changes: Any,
) -> EndpointData:
    """All patients in role ``all``; ``afp`` drives the event, and gaps in it depend on ``hbsag``."""
    generator = np.random.default_rng(seed)
    afp = generator.normal(size=n)
    bclc = generator.integers(0, 3, n).astype(float)
    hbsag = (generator.random(n) < 0.6).astype(float)
    raw = generator.exponential(18 * np.exp(-signal * afp))
    lost = generator.uniform(8, 60, n)
    months, recurred = np.minimum(raw, lost) + 0.1, raw <= lost
    cut = np.inf if horizon is None else horizon
    event, time = recurred & (months <= cut), np.minimum(months, cut)
    y = [int(e) if e or horizon is None or m >= cut else None for e, m in zip(event, months, strict=True)]
    holes = generator.random((n, 3)) < np.array([missing * 1.5, missing, 0.0]) * (0.5 + hbsag[:, None])
    values = np.where(holes, np.nan, np.column_stack([afp, bclc, hbsag]))
    ids = [f"clinic/P{k:04d}" for k in range(n)]
    outcome: dict[str, Any] = {
        "time": time, "event": event, "months": months, "recurred": recurred, "died": [False] * n
    }  # fmt: skip
    if not timed:
        outcome = {name: pl.Series([None] * n, dtype=pl.Float64) for name in outcome}
    patients = pl.DataFrame(
        {
            "patient_id": ids,
            "cohort": "clinic",
            "role": "all",
            "treated": False,
            **outcome,
            "y": y,
            "excluded": [None if value is not None else "censored before the horizon" for value in y],
        },
        schema_overrides={"y": pl.Int8, "excluded": pl.String},
    )
    facts: dict[str, Any] = {
        "endpoint": "1y",
        "label": "Recurrence within 1 year",
        "horizon_months": horizon,
        "exclusion_rule": "censored before the horizon",
        "patients": patients,
        "indicators": pl.DataFrame({"patient_id": ids, **dict(zip(NAMES, values.T, strict=True))}).fill_nan(None),
        "indicator_names": NAMES,
        "timed": timed,
    }
    return EndpointData(**(facts | changes))


def everybody(data: EndpointData) -> Population:
    """The patients of :func:`described`."""
    return population(data, "clinic", "all", "apparent")
