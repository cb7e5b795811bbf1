"""Outcomes permuted among patients before labels are denoised and a tiny encoder is trained: nothing is found.

Everything from the choice of labels to the report's AUROC runs: denoised subset, training of a small convolutional
network, embedding, the prognostic network, judging. With 60 judges an AUROC has a standard error of about 0.08, the
mean of eight seeds one of about 0.03: the limit of 0.1 is three of them, and says that no large leak is there. The
same pipeline on outcomes as they are must find them.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from hccfeat.analysis.recurrence import EndpointData, analyse
from hccfeat.config import AnalysisConfig, PrognosticRecipe
from hccfeat.errors import LeakageError
from hccfeat.training.data import TrainingImage
from hccfeat.training.embed import embed
from hccfeat.training.encoder import load_encoder, train_encoder
from hccfeat.training.labels import denoised_subset
from tests.training.toy import SIDE, flips, toy_patch, toy_recipe

PATIENTS, TRAINING, IMAGES, PATCHES = 120, 60, 2, 3
HORIZON = 12.0
SETTINGS = AnalysisConfig(bootstraps=100)
PROGNOSTIC = PrognosticRecipe(max_epochs=10)
IDS = [f"internal/P{k:03d}" for k in range(PATIENTS)]


def cohort(seed: int, *, permuted: bool) -> tuple[NDArray[np.uint8], pl.DataFrame]:
    """Patches (patients, images, patches, side, side, 3) whose discs grow with aggressiveness, and the outcomes."""
    rng = np.random.default_rng([seed, 6])
    aggressive = rng.normal(size=PATIENTS)
    shape = (PATIENTS, IMAGES * PATCHES)
    radius = np.clip(3.6 + 0.9 * aggressive[:, None] + 0.2 * rng.normal(size=shape), 1.5, 7.0)
    patches = np.stack([toy_patch(rng, value, SIDE) for value in radius.ravel()])
    recurrence = rng.exponential(22 * np.exp(-1.2 * aggressive)) + 0.2
    death = recurrence + rng.exponential(20 * np.exp(-0.6 * aggressive))
    lost = rng.uniform(HORIZON, 60, PATIENTS)
    outcomes = pl.DataFrame(
        {"time": np.minimum(recurrence, lost), "event": recurrence <= lost, "os": np.minimum(death, lost)}
    )
    if permuted:
        outcomes = outcomes[rng.permutation(PATIENTS).tolist()]
    return patches.reshape(PATIENTS, IMAGES, PATCHES, SIDE, SIDE, 3), outcomes


def study(seed: int, work: Path, *, permuted: bool, encoder_sees: int = TRAINING) -> EndpointData:
    """The input of an analysis, after labels were chosen and the encoder was trained on the first patients."""
    patches, outcomes = cohort(seed, permuted=permuted)
    seen = outcomes.head(encoder_sees)
    chosen = denoised_subset(IDS[:encoder_sees], seen["event"].to_numpy(), seen["os"].to_numpy(), "1/2")
    images = [
        TrainingImage(f"{patient}_{k}", patient, label, patches[IDS.index(patient), k])
        for patient, label in chosen.labels.items()
        for k in range(IMAGES)
    ]
    recipe = toy_recipe(max_epochs=6, learning_rate=3e-3, seed=seed)
    trained = train_encoder(images, recipe, augment=flips, work=work, device="cpu", threads=1, progress=False)
    vectors = embed(load_encoder(trained.weights, recipe), patches.reshape(-1, SIDE, SIDE, 3))[0]
    means = vectors.reshape(PATIENTS * IMAGES, PATCHES, -1).mean(axis=1)
    early = (outcomes["event"] & (outcomes["time"] <= HORIZON)).cast(pl.Int8)
    patients = outcomes.select(
        pl.Series("patient_id", IDS),
        pl.lit("internal").alias("cohort"),
        pl.Series("role", ["train"] * TRAINING + ["held_out"] * (PATIENTS - TRAINING)),
        pl.lit(False).alias("treated"),
        "time",
        "event",
        early.alias("y"),
        pl.lit(None, pl.String).alias("excluded"),
    )
    frame = pl.DataFrame(
        {
            "patient_id": np.repeat(IDS, IMAGES),
            "image_id": [f"{patient}_{k}" for patient in IDS for k in range(IMAGES)],
            "vector": pl.Series(means.astype(np.float32), dtype=pl.Array(pl.Float32, means.shape[1])),
        }
    )
    nobody = pl.DataFrame({"patient_id": IDS})
    everyone_considered = set(IDS[:encoder_sees])
    return EndpointData(
        "1y", "Recurrence within 1 year", HORIZON, "none", patients, nobody, [], frame, everyone_considered
    )


def held_out(data: EndpointData) -> dict[str, float]:
    rows = analyse(data, SETTINGS, PROGNOSTIC).metrics
    return {row.metric: row.estimate for row in rows if (row.model, row.split) == ("pps_mlp", "held_out")}


def test_permuted_outcomes_are_not_predicted(tmp_path: Path) -> None:
    found = [held_out(study(seed, tmp_path / str(seed), permuted=True)) for seed in range(1, 9)]
    for metric in ("auroc", "c_index"):
        assert abs(np.mean([one[metric] for one in found]) - 0.5) < 0.1


def test_outcomes_as_they_are_are_predicted(tmp_path: Path) -> None:
    found = [held_out(study(seed, tmp_path / str(seed), permuted=False)) for seed in (1, 2)]
    for metric in ("auroc", "c_index"):
        assert min(one[metric] for one in found) > 0.65


def test_an_encoder_that_saw_the_judges_is_refused(tmp_path: Path) -> None:
    data = study(1, tmp_path, permuted=True, encoder_sees=PATIENTS)
    with pytest.raises(LeakageError, match="60 of 60"):
        analyse(data, SETTINGS, PROGNOSTIC)
