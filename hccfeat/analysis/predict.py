"""``hccfeat predict``: the risk of patients whose outcome is not known, by a model that ``analyze`` fitted."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from hccfeat.analysis.models import IMAGE_MODELS
from hccfeat.analysis.results import EndpointResult
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.errors import InputError
from hccfeat.features.frames import image_frame
from hccfeat.files import sha256_of, write_atomically
from hccfeat.models.weights import read_metadata, weights_sha256
from hccfeat.store.catalog import query
from hccfeat.training.prognostic import PrognosticModel, patient_risk


def save_model(study: Path, feature_set: str, result: EndpointResult, *, simulated: bool) -> dict[str, Any]:
    """Keep the fitted network of an endpoint with its training median.

    Returns
    -------
    dict
        Row of table ``model_file``; the model is called ``<feature set>-<endpoint>``.
    """
    name = f"{feature_set}-{result.endpoint}"
    relative = f"models/{name}/prognostic.safetensors"
    model_name = next(name for name in IMAGE_MODELS.values() if name in result.artefacts)
    cuts = {group.cut for group in result.groups if group.model == model_name}
    about = {
        "feature_set": feature_set,
        "endpoint": result.endpoint,
        "horizon_months": result.horizon_months,
        "training_median": min(cuts) if cuts else None,
        "simulated": simulated,
    }
    model: PrognosticModel = result.artefacts[model_name]
    sha256 = model.save(study / relative, about)
    return {"model": name, "feature_set": feature_set, "path": relative, "sha256": sha256}


def predict(study: Path, model: str, cohorts: tuple[str, ...]) -> tuple[list[dict[str, Any]], Path, bool]:
    """Predict the risk of patients whose outcome is not known: recurrence, or the endpoint's own variable.

    Parameters
    ----------
    study : Path
        Study folder.
    model : str
        Name of a model that ``analyze`` kept, such as ``pps-1-1y``.
    cohorts : tuple of str
        Only these; empty takes all.

    Returns
    -------
    rows : list of dict
        ``patient_id``, ``cohort``, ``images``, ``patches``, ``risk`` and ``risk_group`` (``high`` above the
        median risk of the training patients), highest risk first.
    path : Path
        The same as CSV under ``results/``.
    simulated : bool
        Whether the model or a patient is simulated.

    Raises
    ------
    InputError
        If the model does not exist, its file was changed, or nobody without outcome has an embedding.
    """
    fitted, about = _load(study, model)
    images = image_frame(study, about["feature_set"])
    without = _unknown(study, about["endpoint"])
    if cohorts:
        without = without.filter(pl.col("cohort").is_in(cohorts))
    wanted = images.filter(pl.col("patient_id").is_in(without["patient_id"].to_list()))
    if wanted.is_empty():
        raise InputError(
            ", ".join(cohorts) or str(study),
            f"has no patients without outcomes that have embeddings in {about['feature_set']}",
            "Ingest them with --slides (outcome columns may be left out) and run `hccfeat extract`.",
        )
    rows = _rows(wanted, fitted, about["training_median"])
    path = study / "results" / f"predict-{model}-{sha256_of(rows)[:12]}" / "risk.csv"
    _write(path, rows)
    shown = without.filter(pl.col("patient_id").is_in([row["patient_id"] for row in rows]))
    return rows, path, bool(about["simulated"]) or bool(shown["simulated"].any())


def _unknown(study: Path, endpoint: str) -> pl.DataFrame:
    """Patients (``patient_id``, ``cohort``, ``simulated``) whose outcome of an endpoint is not recorded."""
    variable = load_dictionary(study).endpoint(endpoint).variable
    known = "SELECT 1 FROM outcome AS o WHERE o.patient_id = p.patient_id AND o.outcome = 'recurrence' AND o.event"
    if variable is not None:
        known = f'SELECT 1 FROM clinical AS o WHERE o.patient_id = p.patient_id AND o."{variable}"'
    return query(
        study,
        "SELECT p.patient_id, p.cohort, c.simulated FROM patient AS p JOIN cohort AS c USING (cohort) "
        f"WHERE NOT EXISTS ({known} IS NOT NULL) ORDER BY p.patient_id",
    )


def _load(study: Path, model: str) -> tuple[PrognosticModel, dict[str, Any]]:
    known = query(study, "SELECT model, path, sha256 FROM model_file WHERE path LIKE '%prognostic%' ORDER BY model")
    found = known.filter(pl.col("model") == model).to_dicts()
    if not found:
        names = ", ".join(known["model"]) or "none yet"
        raise InputError(f"model {model}", f"does not exist (models: {names})", "Run `hccfeat analyze` first.")
    path = study / found[0]["path"]
    if weights_sha256(path) != found[0]["sha256"]:
        raise InputError(str(path), "was changed since it was fitted", "Run `hccfeat analyze` again.")
    return PrognosticModel.load(path), read_metadata(path)["about"]


def _rows(images: pl.DataFrame, fitted: PrognosticModel, cut: float | None) -> list[dict[str, Any]]:
    risks = patient_risk(images["patient_id"].to_list(), fitted.predict(np.stack(images["mean"].to_list())))
    counts = images.group_by("patient_id").agg(
        pl.col("cohort").first(), pl.len().alias("images"), pl.col("patches").sum()
    )
    rows = [
        {
            **{name: row[name] for name in ("patient_id", "cohort", "images", "patches")},
            "risk": risks[row["patient_id"]],
            "risk_group": None if cut is None else "high" if risks[row["patient_id"]] > cut else "low",
        }
        for row in counts.to_dicts()
    ]
    return sorted(rows, key=lambda row: (-row["risk"], row["patient_id"]))


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(path, write)
