"""Gathering what the report shows beside the results: cohorts, attrition, baseline, provenance, pictures."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from hccfeat.analysis.results import StudyReport
from hccfeat.analysis.workflow import AnalyzeRun
from hccfeat.cohort.described import ingested_description, recorded_variables
from hccfeat.cohort.dictionary import Variable, load_dictionary
from hccfeat.cohort.frozen import split_name
from hccfeat.config import StudyConfig
from hccfeat.extraction.identity import FeatureSet
from hccfeat.report.pictures import patch_pictures
from hccfeat.store.catalog import query
from hccfeat.store.freeze import freezes_of


def collect(study: Path, config: StudyConfig, run: AnalyzeRun) -> StudyReport:
    """Assemble the report of a finished analysis.

    Parameters
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Its study file.
    run : AnalyzeRun
        From :func:`hccfeat.analysis.workflow.analyze`.

    Returns
    -------
    StudyReport
        Input of :func:`hccfeat.report.html.write_report`; no patient ids but those in predictions.
    """
    cohorts = [run.scope.cohort, *run.scope.external]
    has_images = run.scope.feature_set is not None and run.scope.cohort == config.development_cohort
    feature_set = run.scope.feature_set if has_images else None
    variables = recorded_variables(study, run.scope.cohort)
    return StudyReport(
        study=config.name,
        title=config.title or config.name,
        simulated=run.simulated,
        run_id=run.run_id,
        created=run.created,
        settings=run.settings,
        versions=run.versions,
        cohorts=[
            {**row, "minimum_follow_up_months": ingested_description(study, row["cohort"]).minimum_follow_up_months}
            for row in query(study, _COHORTS).to_dicts()
            if row["cohort"] in cohorts
        ],
        attrition=[
            row
            for row in query(study, "SELECT * FROM attrition ORDER BY cohort, step_number").to_dicts()
            if row["cohort"] in cohorts
        ],
        baseline=baseline_rows(study, config, cohorts, variables),
        feature_set=None if feature_set is None else _feature_set_facts(study, feature_set),
        endpoints=run.results,
        example_patches=[] if feature_set is None else patch_pictures(study, feature_set, cohorts),
        statement=config.statement.model_dump(),
        labels={name: variable.label for name, variable in variables.items()},
        units={name: one.printed_unit or "step" for name, one in variables.items() if one.type == "number"},
        patient_rows=config.report.patient_rows,
    )


_COHORTS = """
SELECT c.cohort, c.title, c.format, c.simulated, c.note,
       (SELECT count(*) FROM patient AS p WHERE p.cohort = c.cohort) AS patients,
       (SELECT count(*) FROM image AS i
        WHERE i.cohort = c.cohort AND i.status = 'ok' AND coalesce(i.modality, 'slide') = 'slide') AS images,
       (SELECT count(*) FROM image AS i
        WHERE i.cohort = c.cohort AND i.status = 'ok' AND i.modality = 'mri') AS exams,
       (SELECT count(DISTINCT i.patient_id) FROM image AS i
        WHERE i.cohort = c.cohort AND i.status = 'ok') AS image_patients
FROM cohort AS c ORDER BY c.cohort
"""


def _feature_set_facts(study: Path, feature_set: FeatureSet) -> dict[str, Any]:
    roles = query(
        study,
        "SELECT role, count(*) AS n FROM feature_set_patient WHERE feature_set = ? GROUP BY role ORDER BY role",
        [feature_set.name],
    )
    counts = dict(roles.rows())
    shards = query(
        study,
        "SELECT count(*) AS images, coalesce(sum(patches), 0)::BIGINT AS patches, "
        "count(*) FILTER (WHERE status = 'excluded') AS excluded_images, "
        "count(*) FILTER (WHERE stain_accepted) AS stain_fits_accepted FROM shard WHERE feature_set = ?",
        [feature_set.name],
    ).to_dicts()[0]
    row = query(study, "SELECT encoder FROM feature_set WHERE feature_set = ?", [feature_set.name])
    training = json.loads((study / "models" / feature_set.name / "recipe.json").read_text(encoding="utf-8"))
    kept = ("subset", "subset_patients", "considered_patients", "censored_in_subset", "best_epoch", "stopped_epoch")
    return {
        "name": feature_set.name,
        "modality": feature_set.modality,
        "encoder": row["encoder"][0],
        "dimension": feature_set.dim,
        "weights_sha256": feature_set.weights_sha256,
        "identity_sha256": feature_set.sha256,
        "patients_trained": counts.get("trained", 0),
        "patients_selected": counts.get("selected", 0),
        "patients_stopped": counts.get("stopped", 0),
        **{name: training[name] for name in kept if name in training},
        **({"frozen_as": ", ".join(names)} if (names := freezes_of(study, feature_set.name)) else {}),
        **shards,
        "recipe": feature_set.recipe.model_dump(mode="json"),
    }


def baseline_rows(
    study: Path, config: StudyConfig, cohorts: list[str], variables: dict[str, Variable]
) -> list[dict[str, Any]]:
    """Describe patients by variable and level, one column per cohort and split; ranks and groups are counted.

    An indicator that models of the first cohort would read, and that nobody has, is shown as missing.

    Parameters
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Its study file.
    cohorts : list of str
        Columns, in this order; the development cohort has one for those who train and one for those held out.
    variables : dict
        From :func:`hccfeat.cohort.described.recorded_variables`.
    """
    table = query(
        study,
        "SELECT c.*, p.cohort, p.treatment, s.role FROM clinical AS c JOIN patient AS p USING (patient_id) "
        "LEFT JOIN split AS s ON s.patient_id = p.patient_id AND s.split = ? ORDER BY c.patient_id",
        [split_name(config)],
    ).filter(pl.col("cohort").is_in(cohorts))
    role = pl.col("role").replace_strict({"train": " training", "test": " held out"}, default="")
    table = table.with_columns(group=pl.col("cohort") + role)
    groups = {str(name): frame for (name,), frame in table.group_by("group", maintain_order=True)}
    order = sorted(
        groups, key=lambda name: (cohorts.index(name.split(" ")[0]), not name.endswith("training"), name)
    )
    rows = [{"variable": "Patients", "level": "", **{name: str(groups[name].height) for name in order}}]
    recorded = [name for name in variables if name in table.columns and table[name].count()]
    asked = load_dictionary(study).predictors(ingested_description(study, cohorts[0]))
    lacking = set(asked) - set(recorded) if set(asked) & set(recorded) else set()
    for name, variable in variables.items():
        if name in recorded:
            rows.extend(_variable_rows(name, variable, {group: groups[group] for group in order}))
        elif name in lacking:
            nobody = {group: str(groups[group].height) for group in order}
            rows.append({"variable": _label(variable), "level": "missing", **nobody})
    return rows


def _variable_rows(name: str, variable: Variable, groups: dict[str, pl.DataFrame]) -> list[dict[str, Any]]:
    label = _label(variable)
    rows = []
    if variable.type == "number" and variable.allowed is None:
        rows.append({"variable": label, "level": "median (quartiles)", **_cells(groups, name, _quartiles)})
    else:
        values = pl.concat([frame[name] for frame in groups.values()]).drop_nulls()
        levels = variable.levels if variable.type == "category" else sorted(values.unique().to_list())
        for level in levels[:12]:
            shown = _level(variable, level)
            rows.append({"variable": label, "level": shown, **_cells(groups, name, _share_of(level))})
    missing = _cells(groups, name, lambda column: str(column.null_count()))
    if any(cell != "0" for cell in missing.values()):
        rows.append({"variable": label, "level": "missing", **missing})
    return rows


def _label(variable: Variable) -> str:
    return f"{variable.label}, {variable.printed_unit}" if variable.printed_unit else variable.label


def _level(variable: Variable, level: Any) -> str:
    """Name of a level; a rank is followed by the texts it stands for, but groups of a source have none."""
    if variable.type == "flag":
        return "yes" if level else "no"
    if variable.type != "number":
        return str(level)
    texts = [] if variable.unit == "group" else [text for text, value in variable.coding.items() if value == level]
    return f"{level:g} ({', '.join(texts)})" if texts else f"{level:g}"


def _cells(groups: dict[str, pl.DataFrame], name: str, cell: Any) -> dict[str, str]:
    return {group: cell(frame[name]) for group, frame in groups.items()}


def _quartiles(column: pl.Series) -> str:
    known = column.drop_nulls()
    if known.is_empty():
        return ""
    low, middle, high = (known.quantile(q, interpolation="linear") for q in (0.25, 0.5, 0.75))
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def _share_of(level: object) -> Any:
    def cell(column: pl.Series) -> str:
        known = column.drop_nulls()
        count = int((known == level).sum())
        return f"{count} ({100 * count / len(known):.0f} %)" if len(known) else ""

    return cell
