"""From outcomes to the labels of an endpoint."""

from collections.abc import Iterable

import polars as pl

from hccfeat.cohort.descriptions import Endpoint

DEATH_GAP_MONTHS = 1.0
"""A death this soon after the last recurrence-free contact ended it; a later one was not waited for."""
NO_OUTCOME = "no outcome recorded"
SHORT_FOLLOW_UP = "alive and recurrence-free at last contact before the cohort's minimum follow-up"
DIED_BEFORE = "died before the horizon without recurrence"
CENSORED_BEFORE = "recurrence-free, but not followed to the horizon"


def label(
    endpoint: Endpoint,
    outcomes: pl.DataFrame,
    *,
    minimum_follow_up_months: float | None = None,
    patients: Iterable[str] | None = None,
) -> pl.DataFrame:
    """Label the patients of one cohort for an endpoint (P1 readings 27, 27b and 30).

    Parameters
    ----------
    endpoint : Endpoint
        What is predicted and until when.
    outcomes : polars.DataFrame
        Long table (patient_id String, outcome String, months Float64, event Boolean).
    minimum_follow_up_months : float, optional
        Of the cohort: patients alive and recurrence-free at a last contact before it leave the endpoint;
        early recurrences and deaths stay.
    patients : iterable of str, optional
        Patients to list even when they have no outcome at all.

    Returns
    -------
    polars.DataFrame
        One row per patient, ordered by id: patient_id; time (months, Float64) and event (Boolean), truncated
        at the horizon and null for patients who leave the endpoint altogether; y (Int8: 1 = event at or
        before the horizon, 0 = followed event-free to it, null = unknown; without a horizon the status at
        last follow-up); excluded (String: why y is null, else null); months, recurred (time and event, not cut
        at the horizon) and died (Boolean: death without the event ended them; null where no death is recorded
        in the endpoint). A patient censored, or dead, before the horizon has time and event for survival
        analysis but no y.
    """
    frame = _wide(endpoint, outcomes, patients)
    time, event = pl.col("months"), pl.col("event")
    missing = time.is_null() | event.is_null()
    alive = ~pl.col("dead").fill_null(False)
    contact = pl.max_horizontal("months", "death_months")
    short = pl.lit(False)
    if minimum_follow_up_months is not None:
        short = alive & ~event & (contact < minimum_follow_up_months)
    horizon = endpoint.horizon_months
    if horizon is None:
        early, late_event, truncated = pl.lit(False), pl.lit(False), time
    else:
        early, late_event = ~event & (time < horizon), event & (time > horizon)
        truncated = pl.min_horizontal(time, pl.lit(float(horizon)))
    died = early & ~alive & (pl.col("death_months") < (horizon or 0.0))
    if endpoint.died_before_horizon == "negative":
        early, died = early & ~died, pl.lit(False)
    excluded = (
        pl.when(missing)
        .then(pl.lit(NO_OUTCOME))
        .when(short)
        .then(pl.lit(SHORT_FOLLOW_UP))
        .when(died)
        .then(pl.lit(DIED_BEFORE))
        .when(early)
        .then(pl.lit(CENSORED_BEFORE))
    )
    leaves = missing | short
    happened = event & ~late_event
    ended = ~event & pl.col("dead") & (pl.col("death_months") - time <= DEATH_GAP_MONTHS)
    return frame.select(
        "patient_id",
        pl.when(~leaves).then(truncated).alias("time"),
        pl.when(~leaves).then(happened).alias("event"),
        pl.when(excluded.is_null()).then(happened.cast(pl.Int8)).alias("y"),
        excluded.alias("excluded"),
        pl.when(~leaves).then(time).alias("months"),
        pl.when(~leaves).then(event).alias("recurred"),
        pl.when(~leaves).then(ended).alias("died"),
    )


def label_by_variable(endpoint: Endpoint, values: pl.DataFrame) -> pl.DataFrame:
    """Label patients for an endpoint that is a clinical variable (P2: the grade of microvascular invasion).

    Parameters
    ----------
    endpoint : Endpoint
        With ``variable`` and its ``positive`` values.
    values : polars.DataFrame
        One row per patient: patient_id, value (as stored, null where not recorded).

    Returns
    -------
    polars.DataFrame
        As of :func:`label`, ordered by id; time and event are null for everybody, because the variable has none.
    """
    positive = pl.lit(False)
    for stored in endpoint.positive:
        positive = positive | (pl.col("value") == stored)
    known = pl.col("value").is_not_null()
    reason = pl.lit(f"{endpoint.variable} not recorded")
    return values.sort("patient_id").select(
        "patient_id",
        pl.lit(None, dtype=pl.Float64).alias("time"),
        pl.lit(None, dtype=pl.Boolean).alias("event"),
        pl.when(known).then(positive.cast(pl.Int8)).alias("y"),
        pl.when(~known).then(reason).alias("excluded"),
        pl.lit(None, dtype=pl.Float64).alias("months"),
        pl.lit(None, dtype=pl.Boolean).alias("recurred"),
        pl.lit(None, dtype=pl.Boolean).alias("died"),
    )


def literal_follow_up_exclusions(endpoint: Endpoint, outcomes: pl.DataFrame, months: float) -> int:
    """Count whom "followed up less than ``months``" would exclude if taken literally (P1 reading 27b).

    The literal rule also drops early recurrences and deaths, that is, it conditions on the outcome; its
    count is printed beside the rule of :func:`label`. Arguments as there.
    """
    frame = _wide(endpoint, outcomes, None).drop_nulls(["months", "event"])
    contact = pl.coalesce("death_months", "months")
    return frame.filter(contact < months).height


def _wide(endpoint: Endpoint, outcomes: pl.DataFrame, patients: Iterable[str] | None) -> pl.DataFrame:
    """One row per patient: months and event of the endpoint's outcome, death_months and dead."""
    ids = outcomes.select("patient_id")
    if patients is not None:
        listed = pl.DataFrame({"patient_id": list(patients)}, schema={"patient_id": pl.String})
        ids = pl.concat([ids, listed])
    wanted = outcomes.filter(pl.col("outcome") == endpoint.outcome).select("patient_id", "months", "event")
    deaths = outcomes.filter(pl.col("outcome") == (endpoint.death or "")).select(
        "patient_id", pl.col("months").alias("death_months"), pl.col("event").alias("dead")
    )
    return (
        ids.unique()
        .join(wanted, on="patient_id", how="left", validate="1:1")
        .join(deaths, on="patient_id", how="left", validate="1:1")
        .sort("patient_id")
    )
