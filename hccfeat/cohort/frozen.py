"""The study's frozen split: made once, stored as a record, never changed by later data."""

from pathlib import Path

import polars as pl

from hccfeat.cohort.splits import make_split
from hccfeat.config import GRADES, StudyConfig
from hccfeat.files import sha256_of
from hccfeat.store.committer import Committer


def split_name(config: StudyConfig) -> str:
    """Name of the split that a study file asks for: other settings are another split."""
    facts = {"cohort": config.development_cohort, **config.split.model_dump(mode="json")}
    return f"{config.development_cohort}-{sha256_of(facts)[:8]}"


GRADE = "mvi_grade"
"""Clinical variable that stratifies a cohort without outcomes in time (P2)."""


def frozen_split(study: Path, committer: Committer, config: StudyConfig) -> str:
    """Return the name of the frozen split, making it where it does not exist yet.

    It holds the patients of the development cohort with a recurrence outcome, stratified on it; where nobody in
    the cohort has one, those with a grade of microvascular invasion, stratified on the grade.

    Parameters
    ----------
    study : Path
        Study folder.
    committer : Committer
        An open committer.
    config : StudyConfig
        Names the development cohort and the settings of the split.

    Raises
    ------
    AnalysisError
        If the development cohort is too small or has one class.
    """
    del study
    name = split_name(config)
    if not committer.query("SELECT 1 FROM split WHERE split = ? LIMIT 1", [name]).is_empty():
        return name
    patients = _patients(committer, config.development_cohort)
    rows = [{**row, "split": name} for row in make_split(patients, config.split)]
    committer.record("splits", name, {"split": rows}, about={"settings": config.split.model_dump(mode="json")})
    committer.publish()
    return name


def _patients(committer: Committer, cohort: str) -> pl.DataFrame:
    """Patients who are split, with the outcome that stratifies (a grade as its rank)."""
    found = committer.query(
        "SELECT p.patient_id, coalesce(p.treatment, 'none') AS treatment, o.event AS recurrence "
        "FROM patient AS p JOIN outcome AS o ON o.patient_id = p.patient_id AND o.outcome = 'recurrence' "
        "WHERE p.cohort = ? ORDER BY p.patient_id",
        [cohort],
    )
    columns = committer.query("SELECT * FROM clinical LIMIT 0").columns
    if not found.is_empty() or GRADE not in columns:
        return found
    graded = committer.query(
        f"SELECT p.patient_id, coalesce(p.treatment, 'none') AS treatment, c.{GRADE} AS recurrence "
        f"FROM patient AS p JOIN clinical AS c USING (patient_id) WHERE p.cohort = ? AND c.{GRADE} IS NOT NULL "
        "ORDER BY p.patient_id",
        [cohort],
    )
    ranks = {grade: rank for rank, grade in enumerate(GRADES)}
    return graded.with_columns(pl.col("recurrence").replace_strict(ranks, return_dtype=pl.Int8))
