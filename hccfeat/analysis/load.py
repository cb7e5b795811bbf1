"""From the store to the input of an analysis: who, with which outcome, indicators, images and role."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from hccfeat.analysis.data import COLOURS, PATIENT_COLUMNS, EndpointData, Modality
from hccfeat.analysis.subgroups import patient_groups
from hccfeat.cohort.described import ingested_description, recorded_variables
from hccfeat.cohort.dictionary import Dictionary, Endpoint, load_dictionary
from hccfeat.cohort.endpoints import label, label_by_variable
from hccfeat.cohort.frozen import split_name
from hccfeat.cohort.items import item_column
from hccfeat.cohort.sites import recorded_sites
from hccfeat.config import MriRecipe, StudyConfig
from hccfeat.errors import InputError
from hccfeat.extraction.identity import FeatureSet
from hccfeat.features.frames import image_frame
from hccfeat.store.catalog import query

MIN_FILLED = 0.2
"""An indicator recorded for fewer of the analysed patients is left out of the models."""


@dataclass(frozen=True)
class Scope:
    """Which cohorts an analysis is about, and with which features; ``others`` are only compared."""

    cohort: str
    external: tuple[str, ...]
    feature_set: FeatureSet | None
    others: tuple[FeatureSet, ...] = ()


def choose_cohort(study: Path, config: StudyConfig, asked: str | None) -> str:
    """Cohort to analyse: the one asked for, the development cohort, or the only one there is.

    Raises
    ------
    InputError
        If it does not exist, or none was asked for and several do.
    """
    known = query(study, "SELECT cohort FROM cohort ORDER BY cohort")["cohort"].to_list()
    if asked is None and config.development_cohort not in known and len(known) == 1:
        return str(known[0])
    wanted = asked or config.development_cohort
    if wanted not in known:
        listed = ", ".join(known) or "none"
        raise InputError(
            f"cohort {wanted}", f"is not in the study (cohorts: {listed})", "Ingest it, or give --cohort."
        )
    return wanted


def load_endpoint(
    study: Path, config: StudyConfig, endpoint: str, scope: Scope, *, fold: int | None = None
) -> EndpointData:
    """Assemble the input of one endpoint's analysis.

    Parameters
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Names the frozen split.
    endpoint : str
        Name in the data catalog.
    scope : Scope
        Cohorts and feature set; without a feature set, or without images, the cohort is described by its
        clinical table alone (role ``all``).
    fold : int, optional
        Of a cross-validation: train patients of this fold are the judges, and the test patients are left out.

    Returns
    -------
    EndpointData
        Plain frames.
    """
    dictionary = load_dictionary(study)
    definition = dictionary.endpoint(endpoint)
    images, seen = image_vectors(study, scope.feature_set)
    with_images = set() if images is None else set(images["patient_id"])
    own = query(study, _PATIENTS, [split_name(config), scope.cohort])
    pathology = not with_images.isdisjoint(own["patient_id"]) and scope.cohort == config.development_cohort
    frames = [_labelled(study, definition, scope.cohort, own, _roles(own, pathology, fold))]
    for cohort in scope.external if fold is None else ():
        rows = query(study, _PATIENTS, [split_name(config), cohort])
        frames.append(_labelled(study, definition, cohort, rows, pl.lit("external")))
    everybody = pl.concat(frames)
    patients = everybody.drop_nulls("role")
    read = dictionary.predictors(ingested_description(study, scope.cohort))
    wanted = [name for name in read if name not in definition.hidden]
    indicators, names, unrecorded = _indicators(study, dictionary, wanted, patients)
    return EndpointData(
        endpoint=endpoint,
        label=definition.label,
        horizon_months=definition.horizon_months,
        exclusion_rule=definition.exclusion,
        patients=patients,
        indicators=indicators,
        indicator_names=names,
        images=images if pathology else None,
        seen=seen,
        modality=modality_of(scope.feature_set),
        timed=definition.timed,
        outside_split=everybody.height - patients.height if fold is None else 0,
        sites=recorded_sites(partial(query, study), scope.cohort) if config.analysis.folds_by == "site" else {},
        groups=_groups(study, scope.cohort, config, definition, patients),
        unrecorded=unrecorded,
        outcome=definition.outcome,
    )


def modality_of(feature_set: FeatureSet | None) -> Modality:
    """Tell what the images of a feature set are."""
    return "mri" if feature_set is not None and isinstance(feature_set.recipe, MriRecipe) else "slide"


_PATIENTS = """
SELECT p.patient_id, p.cohort, coalesce(p.treatment, 'none') <> 'none' AS treated, s.role AS split_role, s.fold
FROM patient AS p LEFT JOIN split AS s ON s.patient_id = p.patient_id AND s.split = ?
WHERE p.cohort = ? ORDER BY p.patient_id
"""


def _roles(rows: pl.DataFrame, pathology: bool, fold: int | None) -> pl.Expr:
    del rows
    if not pathology:
        return pl.lit("all")
    if fold is None:
        return pl.col("split_role").replace_strict({"train": "train", "test": "held_out"}, default=None)
    in_training = pl.col("split_role") == "train"
    return (
        pl.when(in_training & (pl.col("fold") == fold))
        .then(pl.lit("held_out"))
        .when(in_training)
        .then(pl.lit("train"))
    )


def _labelled(study: Path, endpoint: Endpoint, cohort: str, rows: pl.DataFrame, role: pl.Expr) -> pl.DataFrame:
    if endpoint.variable is not None:
        # What the specimen shows came before any adjuvant treatment: nobody is left out for it.
        rows = rows.with_columns(treated=pl.lit(False))
        labels = label_by_variable(endpoint, _values(study, endpoint.variable, rows))
    else:
        labels = _outcome_labels(study, endpoint, cohort, rows)
    return (
        rows.with_columns(role=role)
        .join(labels, on="patient_id", how="left", validate="1:1")
        .select(*PATIENT_COLUMNS, "months", "recurred", "died")
    )


def _values(study: Path, variable: str, rows: pl.DataFrame) -> pl.DataFrame:
    table = clinical_rows(study, rows["patient_id"].to_list())
    if variable not in table.columns:
        raise InputError(
            f"variable {variable}", "was recorded for no cohort", "Ingest a clinical table that has it."
        )
    values = table.select("patient_id", pl.col(variable).alias("value"))
    return rows.select("patient_id").join(values, on="patient_id", how="left", validate="1:1")


def clinical_rows(study: Path, patients: list[str]) -> pl.DataFrame:
    """Rows of the catalog's table ``clinical`` of some patients, sorted by id."""
    table = query(study, "SELECT * FROM clinical ORDER BY patient_id")
    return table.filter(pl.col("patient_id").is_in(patients))


def _outcome_labels(study: Path, endpoint: Endpoint, cohort: str, rows: pl.DataFrame) -> pl.DataFrame:
    outcomes = query(
        study,
        "SELECT o.patient_id, o.outcome, o.months, o.event FROM outcome AS o JOIN patient AS p USING (patient_id) "
        "WHERE p.cohort = ? ORDER BY o.patient_id, o.outcome",
        [cohort],
    )
    minimum = ingested_description(study, cohort).minimum_follow_up_months
    return label(endpoint, outcomes, minimum_follow_up_months=minimum, patients=rows["patient_id"])


def image_vectors(study: Path, feature_set: FeatureSet | None) -> tuple[pl.DataFrame | None, set[str]]:
    """Give the image-level vectors of a feature set, with the colours of slides, and who shaped its encoder.

    Returns
    -------
    (polars.DataFrame or None, set of str)
        ``patient_id``, ``image_id``, ``vector``, and mean colours where there are any; None without vectors.
    """
    if feature_set is None:
        return None, set()
    name = feature_set.name
    vectors = image_frame(study, name).select("patient_id", "image_id", pl.col("mean").alias("vector"))
    colours = query(
        study, "SELECT image_id, mean_red, mean_green, mean_blue FROM shard WHERE feature_set = ?", [name]
    )
    seen = query(study, "SELECT DISTINCT patient_id FROM feature_set_patient WHERE feature_set = ?", [name])
    joined = vectors.join(colours, on="image_id", how="left").sort("image_id")
    if all(joined[name].null_count() == joined.height for name in COLOURS):
        joined = joined.drop(COLOURS)
    return (joined if joined.height else None), set(seen["patient_id"])


def _indicators(
    study: Path, dictionary: Dictionary, wanted: Sequence[str], patients: pl.DataFrame
) -> tuple[pl.DataFrame, list[str], dict[str, int]]:
    """Those variables that learners have well recorded, as numbers (flags 0 and 1, categories as ranks).

    With their names, and how many learners have each of the others.
    """
    table = clinical_rows(study, patients["patient_id"].to_list())
    learning = table.join(learners(patients), on="patient_id", how="semi")
    names = well_recorded(learning, wanted)
    columns = [item_column(table, name, dictionary).fill_nan(None) for name in names]
    others = [name for name in wanted if name not in names]
    counts = {name: learning[name].count() if name in learning.columns else 0 for name in others}
    return table.select("patient_id").with_columns(columns), names, counts


def _groups(
    study: Path, cohort: str, config: StudyConfig, endpoint: Endpoint, patients: pl.DataFrame
) -> pl.DataFrame | None:
    """Groups that the study file asks for; what the endpoint predicts makes none."""
    items = [name for name in config.analysis.subgroups if name not in endpoint.hidden]
    if not items:
        return None
    ids = patients["patient_id"].to_list()
    table = patients.select("patient_id").join(clinical_rows(study, ids), on="patient_id", how="left")
    return patient_groups(table, items, recorded_variables(study, cohort), learners(patients)["patient_id"])


def learners(patients: pl.DataFrame) -> pl.DataFrame:
    """Those of an endpoint's patients who may decide what is learnt: no judge is among them."""
    return patients.filter(pl.col("role").is_in(["train", "all"]))


def well_recorded(table: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """Those of some variables that at least ``MIN_FILLED`` of the rows have."""
    least = max(1, MIN_FILLED * table.height)
    return [name for name in names if name in table.columns and table[name].count() >= least]
