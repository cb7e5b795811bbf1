"""The study's frozen split: made once, stored as a record, never changed by later data."""

from pathlib import Path
from typing import Any

import polars as pl

from hccfeat.cohort.sites import recorded_sites, sites_of
from hccfeat.cohort.splits import make_split
from hccfeat.config import GRADES, StudyConfig
from hccfeat.errors import AnalysisError
from hccfeat.files import sha256_of
from hccfeat.store.committer import Committer


def split_name(config: StudyConfig) -> str:
    """Name of the split that a study file asks for: other settings are another split."""
    return _name(config, by_site=config.analysis.folds_by == "site")


def _name(config: StudyConfig, *, by_site: bool) -> str:
    facts = {"cohort": config.development_cohort, **config.split.model_dump(mode="json")}
    if by_site:
        facts["folds_by"] = "site"
    return f"{config.development_cohort}-{sha256_of(facts)[:8]}"


GRADE = "mvi_grade"
"""Clinical variable that stratifies a cohort without outcomes in time (P2)."""


def frozen_split(study: Path, committer: Committer, config: StudyConfig) -> str:
    """Return the name of the frozen split, making it where it does not exist yet.

    It holds the patients of the development cohort with a recurrence outcome, stratified on it; where nobody in
    the cohort has one, those with a grade of microvascular invasion, stratified on the grade. Where the study file
    deals folds by site, a site is as a whole held out or in one fold.

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
        If the development cohort is too small or has one class; by site, if the site of a patient is not known or
        there are too few. If the same settings have frozen a split by patient that is now asked for by site, or
        the other way round.
    """
    del study
    cohort, by_site = config.development_cohort, config.analysis.folds_by == "site"
    name = split_name(config)
    if _exists(committer, name):
        return name
    if _exists(committer, _name(config, by_site=not by_site)):
        old, new = ("patient", "site") if by_site else ("site", "patient")
        raise AnalysisError(
            f"split of cohort {cohort}",
            f"is frozen by {old}, and the study file now deals folds by {new}",
            f'Set folds_by = "{old}" in [analysis] of hccfeat.toml, or give [split] another seed: that freezes a '
            "new split, for which encoders are trained again.",
        )
    patients = _patients(committer, cohort)
    about: dict[str, Any] = {"settings": config.split.model_dump(mode="json")}
    if by_site:
        known = sites_of(cohort, patients["patient_id"].to_list(), recorded_sites(committer.query, cohort))
        patients = patients.with_columns(site=pl.Series(known, dtype=pl.String))
        about["folds_by"] = "site"
    rows = [{**row, "split": name} for row in make_split(patients, config.split)]
    committer.record("splits", name, {"split": rows}, about=about)
    committer.publish()
    return name


def _exists(committer: Committer, name: str) -> bool:
    return not committer.query("SELECT 1 FROM split WHERE split = ? LIMIT 1", [name]).is_empty()


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
