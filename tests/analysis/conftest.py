"""Small made-up studies, and a stand-in for the prognostic network that is fitted in milliseconds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from hccfeat.analysis.data import EndpointData
from hccfeat.config import AnalysisConfig

INDICATORS = ["hbsag", "alt", "tumour_size"]


class Quick:
    """Logistic regression in the place of the network."""

    def __init__(self, x: NDArray, y: NDArray, recipe: object) -> None:
        del recipe
        self.mean, self.sd = x.mean(axis=0), x.std(axis=0)
        self.model = LogisticRegression(C=0.05).fit((x - self.mean) / self.sd, y)

    def predict(self, x: NDArray) -> NDArray[np.float64]:
        return self.model.predict_proba((x - self.mean) / self.sd)[:, 1]


def make_study(
    seed: int = 1,
    *,
    train: int = 80,
    held_out: int = 40,
    external: int = 30,
    signal: float = 1.5,
    dimensions: int = 6,
    images: bool | pl.DataFrame = True,
    missing: float = 0.05,
    treated: float = 0.2,
    horizon: float | None = 12.0,
    **changes: Any,
) -> EndpointData:
    """A study with latent aggressiveness that drives recurrence, indicators and image vectors."""
    generator = np.random.default_rng(seed)
    n = train + held_out + external
    latent = generator.normal(size=n)
    time = generator.exponential(14 * np.exp(-signal * latent))
    censored = generator.uniform(6, 60, size=n)
    event, time = time <= censored, np.minimum(time, censored) + 0.1
    y = [_label(t, e, horizon) for t, e in zip(time, event, strict=True)]
    ids = [f"{'external' if k >= train + held_out else 'internal'}/P{k:04d}" for k in range(n)]
    patients = pl.DataFrame(
        {
            "patient_id": ids,
            "cohort": [patient.split("/")[0] for patient in ids],
            "role": ["train"] * train + ["held_out"] * held_out + ["external"] * external,
            "treated": generator.random(n) < treated,
            "time": time,
            "event": event,
            "y": y,
            "excluded": [None if value is not None else "censored before the horizon" for value in y],
        },
        schema_overrides={"y": pl.Int8, "excluded": pl.String},
    )
    raw = (latent[:, None] * 0.8 + generator.normal(size=(n, 3)) > 0.3).astype(float)
    raw[generator.random((n, 3)) < missing] = np.nan
    indicators = pl.DataFrame({"patient_id": ids, **dict(zip(INDICATORS, raw.T, strict=True))}).fill_nan(None)
    owners = np.repeat(np.arange(n), 2)
    vectors = latent[owners, None] * 0.5 + generator.normal(size=(2 * n, dimensions))
    frame = pl.DataFrame(
        {
            "patient_id": [ids[k] for k in owners],
            "image_id": [f"{ids[k]}_{j % 2}" for j, k in enumerate(owners)],
            "vector": pl.Series(vectors.astype(np.float32), dtype=pl.Array(pl.Float32, dimensions)),
            **{name: generator.uniform(120, 220, size=2 * n) for name in ("mean_red", "mean_green", "mean_blue")},
        }
    )
    facts: dict[str, Any] = {
        "endpoint": "1y",
        "label": "Recurrence within 1 year",
        "horizon_months": horizon,
        "exclusion_rule": "censored or dead before the horizon",
        "patients": patients,
        "indicators": indicators,
        "indicator_names": INDICATORS,
        "images": {True: frame, False: None}[images] if isinstance(images, bool) else images,
        "seen": set() if images is False else set(ids[:train]),
    }
    return EndpointData(**(facts | changes))


def _label(time: float, event: bool, horizon: float | None) -> int | None:
    if horizon is None:
        return int(event)
    if event and time <= horizon:
        return 1
    return 0 if time >= horizon else None


@pytest.fixture
def study() -> Callable[..., EndpointData]:
    return make_study


@pytest.fixture
def quick() -> type[Quick]:
    return Quick


@pytest.fixture
def settings() -> AnalysisConfig:
    return AnalysisConfig(bootstraps=100, imputations=2, repeats=1, optimism=20)
