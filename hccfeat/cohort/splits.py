"""The frozen patient-level split of a development cohort."""

from typing import Any

import numpy as np
import polars as pl

from hccfeat.config import SplitConfig
from hccfeat.errors import AnalysisError


def make_split(patients: pl.DataFrame, config: SplitConfig, *, name: str = "main") -> list[dict[str, Any]]:
    """Split patients into train and test, and the train patients into folds (P1 reading 19).

    Stratified on treatment and outcome, seeded, and independent of the order of the rows.

    Parameters
    ----------
    patients : polars.DataFrame
        (patient_id String, treatment String or null, recurrence Boolean, or the rank of a grade, or null); null
        treatment counts as none, a null recurrence is a stratum of its own.
    config : SplitConfig
        Share of test patients, number of folds and seed.
    name : str
        Name of the split.

    Returns
    -------
    list of dict
        (split, patient_id, role "train" or "test", fold 1..K for train patients and None for test),
        ordered by patient_id.

    Raises
    ------
    AnalysisError
        If the patients are fewer than the folds need, or all have the same outcome.
    """
    frame = patients.select(
        "patient_id", pl.col("treatment").fill_null("none"), pl.col("recurrence").cast(pl.Int8).fill_null(-1)
    ).sort("treatment", "recurrence", "patient_id")
    _check(frame, config)
    generator = np.random.default_rng(config.seed)
    strata = [
        group["patient_id"].to_numpy()[generator.permutation(group.height)]
        for _, group in frame.group_by(["treatment", "recurrence"], maintain_order=True)
    ]
    tests = _largest_remainder([len(ids) for ids in strata], config.test_fraction)
    rows: list[dict[str, Any]] = []
    position = 0
    for ids, count in zip(strata, tests, strict=True):
        rows += [_row(name, patient, "test", None) for patient in ids[:count]]
        for patient in ids[count:]:
            rows.append(_row(name, patient, "train", position % config.folds + 1))
            position += 1
    return sorted(rows, key=lambda row: row["patient_id"])


def _row(name: str, patient: str, role: str, fold: int | None) -> dict[str, Any]:
    return {"split": name, "patient_id": str(patient), "role": role, "fold": fold}


def _check(frame: pl.DataFrame, config: SplitConfig) -> None:
    duplicates = frame.height - frame["patient_id"].n_unique()
    if duplicates:
        raise AnalysisError("split", f"{duplicates} patients are listed twice", "Give each patient one row.")
    known = frame.filter(pl.col("recurrence") >= 0)["recurrence"]
    if known.n_unique() < 2:
        outcome = "no outcome" if known.is_empty() else "recurred" if known[0] else "no recurrence"
        raise AnalysisError(
            "split",
            f"all {frame.height} patients have the same outcome ({outcome}): there is nothing to learn",
            "Check the cohort's recurrence columns, or choose another development cohort.",
        )
    test = round(frame.height * config.test_fraction)
    if frame.height - test < config.folds or test < 1:
        raise AnalysisError(
            "split",
            f"{frame.height} patients leave {frame.height - test} for training and {test} for testing, "
            f"too few for {config.folds} folds",
            "Lower split.folds in hccfeat.toml, or add patients.",
        )


def _largest_remainder(sizes: list[int], fraction: float) -> list[int]:
    """Share ``round(sum * fraction)`` over strata, in proportion to their sizes."""
    exact = np.array(sizes) * fraction
    counts = np.floor(exact).astype(int)
    short = round(sum(sizes) * fraction) - int(counts.sum())
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[:short]] += 1
    return [int(count) for count in counts]
