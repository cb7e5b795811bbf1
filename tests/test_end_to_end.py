"""From a delivery to the report, the catalog and the risk table."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from hccfeat.analysis.load import Scope, load_endpoint
from hccfeat.analysis.recurrence import analyse
from hccfeat.cohort.frozen import split_name
from hccfeat.errors import InputError, LeakageError
from hccfeat.extraction.feature_sets import newest
from hccfeat.store.catalog import query
from hccfeat.study import AnalyzeSummary, Study, open_study

METRIC_COLUMNS = [
    "endpoint", "cohort", "split", "model", "metric", "estimate", "lower", "upper", "n", "events", "method",
]  # fmt: skip
HAZARD_COLUMNS = ["endpoint", "cohort", "kind", "term", "hr", "lower", "upper", "p", "n", "events", "ties"]


@pytest.fixture(scope="module")
def analysed(extracted_study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, AnalyzeSummary]:
    folder = tmp_path_factory.mktemp("analysed") / "study"
    shutil.copytree(extracted_study, folder)
    study = open_study(folder)
    return study, study.analyze(("final", "2y"), external=("external",))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("file", "table", "columns"),
    [("metrics.csv", "metric", METRIC_COLUMNS), ("hazard_ratios.csv", "hazard_ratio", HAZARD_COLUMNS)],
)
def test_report_data_and_catalog_agree(
    analysed: tuple[Study, AnalyzeSummary], file: str, table: str, columns: list[str]
) -> None:
    study, summary = analysed
    shown = rows_of(summary.report.parent / "data" / file)
    assert list(shown[0]) == columns
    listed = ", ".join(columns)
    stored = query(study.folder, f"SELECT {listed} FROM {table} WHERE run_id = ?", [summary.run_id]).to_dicts()
    plain = [{name: "" if row[name] is None else str(row[name]) for name in columns} for row in stored]

    def key(row: dict[str, str]) -> list[str]:
        return [row[name] for name in columns]

    assert sorted(plain, key=key) == sorted(shown, key=key)


def test_every_model_is_judged_on_the_same_patients(analysed: tuple[Study, AnalyzeSummary]) -> None:
    study, summary = analysed
    frame = query(study.folder, "SELECT * FROM metric WHERE run_id = ? AND metric = 'auroc'", [summary.run_id])
    assert {"pps_mlp", "clinical_logistic", "integrated_logistic", "xgboost", "mean_colour_logistic"} <= set(
        frame["model"]
    )
    assert set(frame["split"]) == {"apparent", "held_out", "external"}
    assert frame.group_by("endpoint", "cohort", "split").agg(pl.col("n").n_unique())["n"].to_list() == [1] * 6


def test_judges_are_held_out_and_untreated(analysed: tuple[Study, AnalyzeSummary]) -> None:
    study, summary = analysed
    frame = query(
        study.folder,
        "SELECT DISTINCT r.patient_id, r.split, s.role, p.treatment FROM prediction AS r "
        "JOIN patient AS p USING (patient_id) "
        "LEFT JOIN split AS s ON s.patient_id = r.patient_id AND s.split = ? WHERE r.run_id = ?",
        [split_name(study.config), summary.run_id],
    )
    roles = {"apparent": {"train"}, "held_out": {"test"}, "external": {None}}
    for (split,), part in frame.group_by("split"):
        assert set(part["role"]) == roles[str(split)]
    assert set(frame["treatment"]) == {"none"}


def test_the_report_says_simulated_on_its_face(analysed: tuple[Study, AnalyzeSummary]) -> None:
    _, summary = analysed
    assert summary.simulated
    page = summary.report.read_text(encoding="utf-8")
    assert "SIMULATED DATA" in page
    assert "internal/P0" not in page
    assert json.loads((summary.report.parent / "data" / "about.json").read_text())["simulated"] is True


def test_the_same_analysis_again_changes_no_byte(analysed: tuple[Study, AnalyzeSummary]) -> None:
    study, summary = analysed
    files = sorted(path for path in summary.report.parent.rglob("*") if path.is_file())
    before = {path: path.read_bytes() for path in files}
    records = sorted((study.folder / "records").rglob("*.json"))
    again = study.analyze(("final", "2y"), external=("external",))
    assert again.run_id == summary.run_id
    assert {path: path.read_bytes() for path in files} == before
    assert sorted((study.folder / "records").rglob("*.json")) == records
    other = study.analyze(("final",))
    assert other.run_id != summary.run_id


def test_judging_seen_patients_is_a_leakage_error(analysed: tuple[Study, AnalyzeSummary]) -> None:
    study, _ = analysed
    feature_set = newest(study.folder, "pps")
    data = load_endpoint(study.folder, study.config, "final", Scope("internal", (), feature_set))
    analyse(data, study.config.analysis)
    held_out = data.patients.filter(pl.col("role") == "held_out")["patient_id"][0]
    with pytest.raises(LeakageError, match="1 of"):
        analyse(replace(data, seen={*data.seen, held_out}), study.config.analysis)


def test_external_patients_that_the_encoder_saw_are_refused(
    analysed: tuple[Study, AnalyzeSummary], tmp_path: Path
) -> None:
    study, _ = analysed
    folder = Path(shutil.copytree(study.folder, tmp_path / "study"))
    text = (folder / "hccfeat.toml").read_text()
    (folder / "hccfeat.toml").write_text(
        text.replace('development_cohort = "internal"', 'development_cohort = "external"')
    )
    with pytest.raises(LeakageError):
        open_study(folder).analyze(("final",), cohort="external", external=("internal",))


def test_wrong_requests(analysed: tuple[Study, AnalyzeSummary]) -> None:
    study, _ = analysed
    with pytest.raises(InputError, match="Known endpoints"):
        study.analyze(("5y",))
    with pytest.raises(InputError, match="not in the study"):
        study.analyze(("final",), external=("nowhere",))
    with pytest.raises(InputError, match="extract --folds 5"):
        study.analyze(("final",), cross_validate=True)
    with pytest.raises(InputError, match="has no embeddings"):
        study.analyze(("final",), features="nothing")


def test_predict_for_patients_without_outcomes(
    analysed: tuple[Study, AnalyzeSummary], tiny_hospital: Path, tmp_path: Path
) -> None:
    study, _ = analysed
    study = open_study(shutil.copytree(study.folder, tmp_path / "study"))
    with pytest.raises(InputError, match="without outcomes"):
        study.predict(model="pps-1-2y")
    frame = pl.read_csv(tiny_hospital / "external" / "clinical.csv", infer_schema=False)
    outcomes = [name for name in frame.columns if name.endswith(("_months", "_event"))]
    frame.drop(outcomes).write_csv(tmp_path / "new.csv")
    summary = study.ingest(
        "clinic", tmp_path / "new.csv", slides=tiny_hospital / "external" / "slides",
        manifest=tiny_hospital / "external" / "manifest.csv",
    )  # fmt: skip
    assert summary.problems == []
    study.extract()
    table = study.predict(model="pps-1-2y", cohorts=("clinic",))
    assert {row["cohort"] for row in table.rows} == {"clinic"}
    assert len(table.rows) == frame.height
    assert all(0 <= row["risk"] <= 1 for row in table.rows)
    assert {row["risk_group"] for row in table.rows} <= {"high", "low"}
    assert table.simulated
    assert len(rows_of(table.path)) == frame.height
    with pytest.raises(InputError, match="models: "):
        study.predict(model="nothing")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cross_validation_has_one_encoder_per_fold(extracted_study: Path, tmp_path: Path) -> None:
    study = open_study(shutil.copytree(extracted_study, tmp_path / "study"))
    text = (study.folder / "hccfeat.toml").read_text()
    (study.folder / "hccfeat.toml").write_text(text.replace("folds = 5", "folds = 2"))
    study = open_study(study.folder)
    summary = study.extract(folds=2)
    assert summary.trained == ["pps-1-fold1", "pps-1-fold2"]
    split = split_name(study.config)
    for fold in (1, 2):
        leaked = query(
            study.folder,
            "SELECT count(*) AS n FROM feature_set_patient AS f JOIN split AS s USING (patient_id) "
            "WHERE f.feature_set = ? AND s.split = ? AND (s.role = 'test' OR s.fold = ?)",
            [f"pps-1-fold{fold}", split, fold],
        )
        assert leaked["n"][0] == 0
    assert study.extract(folds=2).nothing_done
    with pytest.raises(InputError, match="has no embeddings"):
        study.analyze(("final",), features="none", cross_validate=True)
    study.extract()
    summary_cv = study.analyze(("final",), cross_validate=True)
    rows = query(
        study.folder,
        "SELECT * FROM metric WHERE run_id = ? AND split = 'cross_validation' AND model = 'pps_mlp'",
        [summary_cv.run_id],
    )
    assert rows.filter(pl.col("metric") == "auroc").height == 1
    folds = rows.filter(pl.col("metric") == "auroc_fold")["estimate"].to_list()
    assert len(folds) == 2
    mean = rows.filter(pl.col("metric") == "auroc")["estimate"][0]
    assert mean == pytest.approx(sum(folds) / 2)
