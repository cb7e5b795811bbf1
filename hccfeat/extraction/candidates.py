"""Who may train: of slides untreated training patients with both outcomes, of MRI exams those with an MVI grade."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from hccfeat.cohort.described import ingested_description
from hccfeat.cohort.frozen import split_name
from hccfeat.config import StudyConfig
from hccfeat.errors import AnalysisError

Query = Callable[[str, list[Any]], pl.DataFrame]
"""Runs a SELECT: the catalog's, or a committer's that sees what is not published yet."""


def split_patients(study: Path, config: StudyConfig, query: Query) -> pl.DataFrame:
    """Every patient of the frozen split with what decides about training.

    Returns
    -------
    polars.DataFrame
        ``patient_id``, ``role`` (train, test), ``fold``, ``treated``, ``relapsed``, ``recurrence_months``,
        ``died``, ``os_months``, ``eligible`` (bool: untreated, both outcomes, followed long enough; P1 readings
        16 and 27b), sorted by patient.
    """
    frame = query(_PATIENTS, [split_name(config)])
    minimum = ingested_description(study, config.development_cohort).minimum_follow_up_months or 0.0
    too_short = ~pl.col("relapsed") & ~pl.col("died") & (pl.col("recurrence_months") < minimum)
    known = pl.col("relapsed").is_not_null() & pl.col("os_months").is_not_null()
    return frame.with_columns(eligible=(~pl.col("treated") & known & ~too_short).fill_null(False))


def training_candidates(
    study: Path, config: StudyConfig, query: Query, fold: int | None = None
) -> tuple[pl.DataFrame, set[str]]:
    """Choose the patients that may train an encoder, and those that may not.

    Parameters
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Names the split and the development cohort.
    query : callable
        Of the catalog.
    fold : int, optional
        Fold of the frozen split that the encoder must not see either.

    Returns
    -------
    (polars.DataFrame, set of str)
        ``patient_id``, ``relapsed``, ``os_months``, ``died`` of the candidates, and the held-out patients.

    Raises
    ------
    AnalysisError
        If nobody can train.
    """
    frame = split_patients(study, config, query)
    held_out = pl.col("role") == "test"
    unseen = held_out if fold is None else held_out | (pl.col("fold") == fold).fill_null(False)
    candidates = frame.filter(~unseen & pl.col("eligible"))
    if candidates.is_empty():
        raise AnalysisError(
            config.development_cohort,
            "has no untreated training patients with recurrence and survival outcomes",
            "Ingest outcomes, or give a trained encoder with --weights.",
        )
    forbidden = set(frame.filter(unseen)["patient_id"])
    return candidates.select("patient_id", "relapsed", "os_months", "died"), forbidden


def mri_candidates(config: StudyConfig, query: Query, fold: int | None = None) -> tuple[pl.DataFrame, set[str]]:
    """Choose the patients whose exams may train CMD-Net, and those whose may not.

    Treatment after surgery changes no MVI grade, so the treated train too.

    Parameters
    ----------
    config : StudyConfig
        Names the split and the development cohort.
    query : callable
        Of the catalog.
    fold : int, optional
        Fold of the frozen split that the network must not see either.

    Returns
    -------
    (polars.DataFrame, set of str)
        ``patient_id`` and ``grade`` of the candidates, sorted by patient, and the held-out patients.

    Raises
    ------
    AnalysisError
        If nobody can train.
    """
    frame = query(_GRADES, [split_name(config)])
    held_out = pl.col("role") == "test"
    unseen = held_out if fold is None else held_out | (pl.col("fold") == fold).fill_null(False)
    candidates = frame.filter(~unseen & pl.col("grade").is_not_null())
    if candidates.is_empty():
        raise AnalysisError(
            config.development_cohort,
            "has no training patients with an MVI grade (column mvi_grade)",
            "Ingest the grades, or give a trained network with --weights.",
        )
    return candidates.select("patient_id", "grade"), set(frame.filter(unseen)["patient_id"])


_PATIENTS = """
SELECT p.patient_id, s.role, s.fold,
       coalesce(p.treatment, 'none') <> 'none' AS treated,
       r.event AS relapsed, r.months AS recurrence_months,
       o.event AS died, o.months AS os_months
FROM patient AS p
JOIN split AS s ON s.patient_id = p.patient_id AND s.split = ?
LEFT JOIN outcome AS r ON r.patient_id = p.patient_id AND r.outcome = 'recurrence'
LEFT JOIN outcome AS o ON o.patient_id = p.patient_id AND o.outcome = 'os'
ORDER BY p.patient_id
"""

_GRADES = """
SELECT p.patient_id, s.role, s.fold, p.mvi_grade AS grade
FROM patient_clinical AS p JOIN split AS s ON s.patient_id = p.patient_id AND s.split = ?
ORDER BY p.patient_id
"""
