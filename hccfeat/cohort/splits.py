"""The frozen patient-level split of a development cohort."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.config import SplitConfig
from hccfeat.errors import AnalysisError

DRAWS = 1000
"""Orders of the sites that are drawn; the best balanced held-out part of them all is taken."""


def make_split(patients: pl.DataFrame, config: SplitConfig, *, name: str = "main") -> list[dict[str, Any]]:
    """Split patients into train and test, and the train patients into folds (P1 reading 19).

    Stratified on treatment and outcome, seeded, and independent of the order of the rows. With sites, a site is as
    a whole held out or in one fold, and shares are as near as whole sites allow.

    Parameters
    ----------
    patients : polars.DataFrame
        (patient_id String, treatment String or null, recurrence Boolean, or the rank of a grade, or null); null
        treatment counts as none, a null recurrence is a stratum of its own. With a column site (String), whole
        sites are dealt.
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
        If the patients or sites are fewer than the folds need, or all have the same outcome.
    """
    frame = patients.with_columns(
        pl.col("treatment").fill_null("none"), pl.col("recurrence").cast(pl.Int8).fill_null(-1)
    ).sort("treatment", "recurrence", "patient_id")
    _check(frame, config)
    generator = np.random.default_rng(config.seed)
    dealt = _sites if "site" in frame.columns else _patients
    rows = [_row(name, *one) for one in dealt(frame, config, generator)]
    return sorted(rows, key=lambda row: row["patient_id"])


def _patients(
    frame: pl.DataFrame, config: SplitConfig, generator: np.random.Generator
) -> Iterator[tuple[str, int | None]]:
    """Patients with their folds, None for the test part."""
    strata = [
        group["patient_id"].to_numpy()[generator.permutation(group.height)]
        for _, group in frame.group_by(["treatment", "recurrence"], maintain_order=True)
    ]
    tests = _largest_remainder([len(ids) for ids in strata], config.test_fraction)
    position = 0
    for ids, count in zip(strata, tests, strict=True):
        for patient in ids[:count]:
            yield patient, None
        for patient in ids[count:]:
            yield patient, position % config.folds + 1
            position += 1


def _sites(
    frame: pl.DataFrame, config: SplitConfig, generator: np.random.Generator
) -> Iterator[tuple[str, int | None]]:
    """Patients with their folds, None for the test part; those of a site have the same.

    The test part is the beginning of that order of the sites, among ``DRAWS`` random ones, whose counts by stratum
    are nearest to their share (chi-squared distance). The other sites, the largest first, each go to the fold that
    has the fewest patients of their strata so far: no fold stays empty.
    """
    names, site = np.unique(frame["site"].to_numpy(), return_inverse=True)
    if len(names) <= config.folds:
        raise AnalysisError(
            "split",
            f"patients are of {len(names)} sites, too few for a test part and {config.folds} folds of whole sites",
            'Lower split.folds in hccfeat.toml, or set folds_by = "patient" in [analysis].',
        )
    strata = frame.select(pl.struct("treatment", "recurrence").rle_id()).to_series().to_numpy()
    counts = np.zeros((len(names), strata[-1] + 1))
    np.add.at(counts, (site, strata), 1)
    totals = counts.sum(axis=0)
    tests = _nearest(counts, config, generator)
    fold_of: dict[int, int | None] = dict.fromkeys(tests)
    held = np.zeros((config.folds, len(totals)))
    others = [one for one in generator.permutation(len(names)).tolist() if one not in fold_of]
    for one in sorted(others, key=lambda one: -counts[one].sum()):
        alike = held @ (counts[one] / totals)
        fold = int(np.lexsort((held.sum(axis=1), alike))[0])
        held[fold] += counts[one]
        fold_of[one] = fold + 1
    for patient, one in zip(frame["patient_id"], site.tolist(), strict=True):
        yield patient, fold_of[one]


def _nearest(counts: NDArray[np.float64], config: SplitConfig, generator: np.random.Generator) -> list[int]:
    """Sites of the test part; counts (sites, strata) of patients."""
    wanted = config.test_fraction * counts.sum(axis=0)
    best, found = np.inf, []
    for _ in range(DRAWS):
        order = generator.permutation(len(counts))[: len(counts) - config.folds]
        distance = ((counts[order].cumsum(axis=0) - wanted) ** 2 / wanted).sum(axis=1)
        if distance.min() < best:
            best, found = distance.min(), order[: distance.argmin() + 1].tolist()
    return found


def _row(name: str, patient: str, fold: int | None) -> dict[str, Any]:
    role = "test" if fold is None else "train"
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
