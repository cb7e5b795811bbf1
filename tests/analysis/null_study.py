"""Cohorts in which nothing tells anything: vectors, indicators and outcomes are drawn independently."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from sklearn.model_selection import StratifiedKFold

from hccfeat.analysis.data import EndpointData
from tests.analysis.conftest import INDICATORS

PATIENTS = 200
EVENTS = 80
IMAGES = 4
DIMENSIONS = 128
CORRELATION = 0.9
FOLDS = 5


@dataclass(frozen=True)
class Units:
    """What is split into folds: patients with images (n, k, d) or, to make a leak, images that pose as patients."""

    time: np.ndarray
    event: np.ndarray
    indicators: np.ndarray
    vectors: np.ndarray

    def images_as_patients(self) -> "Units":
        """Every image on its own, with the outcome of its patient."""
        n, images, dimensions = self.vectors.shape
        one_each = self.vectors.reshape(n * images, 1, dimensions)
        return Units(*(np.repeat(a, images, axis=0) for a in (self.time, self.event, self.indicators)), one_each)

    def best_dimensions(self, count: int) -> "Units":
        """The dimensions that go best with the event among all patients, judges included."""
        mean = self.vectors.mean(axis=1)
        mean = mean - mean.mean(axis=0)
        event = self.event - self.event.mean()
        strength = np.abs(event @ mean) / np.sqrt((mean**2).sum(axis=0))
        return Units(self.time, self.event, self.indicators, self.vectors[:, :, np.argsort(-strength)[:count]])


def nothing(seed: int, dimensions: int = DIMENSIONS) -> Units:
    """200 patients, 80 events, four images each whose vectors are alike within a patient (correlation 0.9)."""
    generator = np.random.default_rng([seed, 41])
    own = generator.normal(size=(PATIENTS, 1, dimensions))
    image = generator.normal(size=(PATIENTS, IMAGES, dimensions))
    return Units(
        time=generator.exponential(24.0, PATIENTS) + 0.1,
        event=generator.permutation(np.arange(PATIENTS) < EVENTS).astype(float),
        indicators=generator.normal(size=(PATIENTS, len(INDICATORS))),
        vectors=np.sqrt(CORRELATION) * own + np.sqrt(1 - CORRELATION) * image,
    )


def folds_of(units: Units, seed: int) -> list[EndpointData]:
    """Five folds, stratified by event; whatever is split was shown to no encoder of its own fold."""
    n, images, dimensions = units.vectors.shape
    ids = np.array([f"internal/U{k:04d}" for k in range(n)])
    frame = pl.DataFrame(
        {
            "patient_id": np.repeat(ids, images),
            "image_id": [f"{unit}_{k}" for unit in ids for k in range(images)],
            "vector": pl.Series(
                units.vectors.reshape(-1, dimensions).astype(np.float32), dtype=pl.Array(pl.Float32, dimensions)
            ),
        }
    )
    indicators = pl.DataFrame({"patient_id": ids, **dict(zip(INDICATORS, units.indicators.T, strict=True))})
    patients = pl.DataFrame(
        {
            "patient_id": ids,
            "cohort": "internal",
            "treated": False,
            "time": units.time,
            "event": units.event > 0,
            "y": units.event.astype(np.int8),
            "excluded": pl.Series([None] * n, dtype=pl.String),
        }
    )
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    found = []
    for trained, judged in splitter.split(ids, units.event):
        role = np.where(np.isin(np.arange(n), judged), "held_out", "train")
        found.append(
            EndpointData(
                endpoint="last_contact",
                label="Recurrence at the last contact",
                horizon_months=None,
                exclusion_rule="none",
                patients=patients.with_columns(role=pl.Series(role)),
                indicators=indicators,
                indicator_names=INDICATORS,
                images=frame,
                seen=set(ids[trained]),
            )
        )
    return found
