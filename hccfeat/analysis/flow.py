"""How the rows of a clinical table became the patients of a study: counts of every step, by cohort."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from hccfeat.analysis.data import EndpointData
from hccfeat.cohort.described import ingested_description
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.endpoints import SHORT_FOLLOW_UP, literal_follow_up_exclusions
from hccfeat.store.catalog import query


@dataclass(frozen=True)
class Flow:
    """Counts of one cohort.

    Attributes
    ----------
    steps : list of dict
        Rows of the catalog's table ``attrition``: step_number, step, n, excluded, reason.
    patients, treated, images : int
        Patients with a usable row, those with adjuvant treatment, images that were found.
    unreadable : int
        Images that could not be opened at ingest or not be embedded.
    excluded_images : dict
        Reason of the quality check -> images.
    used_images : int
        Images with at least one usable patch.
    imaged : int
        Patients with such an image.
    """

    cohort: str
    steps: list[dict[str, Any]]
    patients: int
    treated: int
    images: int
    unreadable: int
    excluded_images: dict[str, int]
    used_images: int
    imaged: int


@dataclass(frozen=True)
class FollowUpRule:
    """The minimum follow-up of a cohort, as used and taken literally (P1 reading 27b).

    ``used`` counts patients alive and recurrence-free at a last contact before ``months``; ``literal``
    everyone whose last contact was before it, deaths and recurrences included.
    """

    months: float
    used: int
    literal: int
    patients: int


def cohort_flow(study: Path, cohort: str, feature_set: str) -> Flow:
    """Count the patients and images of a cohort, step by step.

    Parameters
    ----------
    study : Path
        Study folder.
    cohort : str
        Its name.
    feature_set : str
        Whose quality check decided about the images.
    """
    steps = query(
        study,
        "SELECT step_number, step, n, excluded, reason FROM attrition WHERE cohort = ? ORDER BY step_number",
        [cohort],
    )
    images = query(
        study,
        "SELECT i.patient_id, i.status AS ingested, s.status, s.reason, coalesce(s.patches, 0) AS patches "
        "FROM image AS i LEFT JOIN shard AS s ON s.image_id = i.image_id AND s.feature_set = ? "
        "WHERE i.cohort = ? AND coalesce(i.modality, 'slide') = 'slide' ORDER BY i.image_id",
        [feature_set, cohort],
    )
    patients = query(
        study,
        "SELECT count(*) AS n, count(*) FILTER (coalesce(treatment, 'none') <> 'none') AS treated "
        "FROM patient WHERE cohort = ?",
        [cohort],
    )
    used = images.filter(pl.col("patches") > 0)
    dropped = images.filter(pl.col("status").is_not_null() & (pl.col("patches") == 0))
    reasons = dropped.with_columns(why=pl.col("reason").fill_null("").replace("", "no usable patch"))
    counted = reasons.group_by("why").len().sort("why")
    return Flow(
        cohort=cohort,
        steps=steps.to_dicts(),
        patients=int(patients["n"][0]),
        treated=int(patients["treated"][0]),
        images=images.height,
        unreadable=images.filter(pl.col("status").is_null()).height,
        excluded_images={str(why): int(count) for why, count in counted.iter_rows()},
        used_images=used.height,
        imaged=used["patient_id"].n_unique(),
    )


def follow_up_rule(study: Path, cohort: str, data: EndpointData) -> FollowUpRule | None:
    """Count whom the cohort's minimum follow-up excludes, and whom its literal reading would (P1 reading 27b).

    Parameters
    ----------
    study : Path
        Study folder.
    cohort : str
        An ingested cohort.
    data : EndpointData
        Of any endpoint; its patients of the cohort tell whom the rule used left out.

    Returns
    -------
    FollowUpRule or None
        None where the cohort has no minimum follow-up.
    """
    months = ingested_description(study, cohort).minimum_follow_up_months
    if months is None:
        return None
    outcomes = query(
        study,
        "SELECT o.patient_id, o.outcome, o.months, o.event FROM outcome AS o JOIN patient AS p USING (patient_id) "
        "WHERE p.cohort = ? ORDER BY o.patient_id, o.outcome",
        [cohort],
    )
    patients = data.patients.filter(pl.col("cohort") == cohort)
    kept = outcomes.filter(pl.col("patient_id").is_in(patients["patient_id"].to_list()))
    endpoint = load_dictionary(study).endpoint(data.endpoint)
    short = patients.filter(pl.col("excluded") == SHORT_FOLLOW_UP).height
    return FollowUpRule(months, short, literal_follow_up_exclusions(endpoint, kept, months), patients.height)


def imaged_patients(data: EndpointData, cohort: str) -> pl.DataFrame:
    """Patients of a cohort who stay in the study: with an outcome and, where there are images, one of them."""
    rows = data.patients.filter(pl.col("cohort") == cohort).drop_nulls(["time", "event"])
    if data.images is None:
        return rows
    return rows.join(data.images.select("patient_id").unique(), on="patient_id", how="semi").sort("patient_id")


def labelled_counts(data: EndpointData, cohort: str) -> list[dict[str, Any]]:
    """Patients who stay, with a label and with the event, by role and treatment.

    Returns
    -------
    list of dict
        Rows (role, treated, patients, labelled, events), roles in the order training, held out, others.
    """
    rows = imaged_patients(data, cohort).with_columns(treated=pl.col("treated").fill_null(False))
    order = {"train": 0, "held_out": 1}
    counted = rows.group_by("role", "treated").agg(
        pl.len().alias("patients"),
        pl.col("y").count().alias("labelled"),
        pl.col("y").sum().cast(pl.Int64).alias("events"),
    )
    return sorted(counted.to_dicts(), key=lambda row: (order.get(row["role"], 2), str(row["role"]), row["treated"]))
