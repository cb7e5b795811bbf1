"""`analyze` with several feature sets, and for an endpoint that is a finding: through catalog, report and CLI."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hccfeat.analysis.load import Scope, load_endpoint
from hccfeat.analysis.modality_load import load_inputs
from hccfeat.cli import app
from hccfeat.errors import AnalysisError, InputError, LeakageError
from hccfeat.extraction.feature_sets import newest
from hccfeat.store.catalog import query
from hccfeat.store.committer import Committer
from hccfeat.study import Study
from tests.analysis.modality_study import PATIENTS, make_study

MODELS = {"mri_components", "pps_components", "clinical_components", "union_components"}


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, dict[str, Any]]:
    """The command with two endpoints and two feature sets, and what it printed as JSON."""
    study = make_study(tmp_path_factory.mktemp("two") / "study", folds=True)
    asked = ["--endpoint", "1y", "--endpoint", "mvi", "--features", "mri", "--features", "pps"]
    result = CliRunner().invoke(
        app, ["analyze", "--study", str(study.folder), *asked, "--cross-validate", "--json"]
    )
    assert result.exit_code == 0, result.output
    return study, json.loads(result.stdout)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_modalities_reach_catalog_and_twin(analysed: tuple[Study, dict[str, Any]]) -> None:
    study, summary = analysed
    stored = query(
        study.folder,
        "SELECT endpoint, split, model, estimate, n, events FROM metric WHERE run_id = ? AND metric = 'auroc' "
        "AND model LIKE '%_components' ORDER BY ALL",
        [summary["run_id"]],
    ).to_dicts()
    assert {(row["endpoint"], row["split"], row["model"]) for row in stored} == {
        (endpoint, split, model)
        for endpoint in ("1y", "mvi")
        for split in ("held_out", "cross_validation")
        for model in MODELS
    }
    data = Path(summary["report"]).parent / "data"
    shown = [row for row in rows_of(data / "modalities.csv") if row["metric"] == "auroc"]
    assert sorted((r["endpoint"], r["split"], r["model"], float(r["estimate"])) for r in shown) == sorted(
        (r["endpoint"], r["split"], r["model"], r["estimate"]) for r in stored
    )
    for row in stored:
        same = [r for r in stored if (r["endpoint"], r["split"]) == (row["endpoint"], row["split"])]
        assert len({(r["n"], r["events"]) for r in same}) == 1
    gaps = [row for row in rows_of(data / "modalities.csv") if row["metric"] == "auroc_difference"]
    assert all(float(row["p"]) <= float(row["p_holm"]) <= 1 for row in gaps)
    assert {row["split"] for row in gaps} == {"held_out", "cross_validation"}
    left_out = {row["split"]: row["left_out"] for row in gaps}
    assert left_out["cross_validation"] == "2"
    predictions = query(
        study.folder,
        "SELECT endpoint, split, model, count(*) AS n FROM prediction WHERE run_id = ? "
        "AND model LIKE '%_components' GROUP BY ALL",
        [summary["run_id"]],
    )
    assert predictions.height == 2 * 2 * 4
    assert {row["model"] for row in summary["headline"]} >= MODELS


def test_the_report_has_the_section(analysed: tuple[Study, dict[str, Any]]) -> None:
    _, summary = analysed
    page = Path(summary["report"]).read_text(encoding="utf-8")
    assert page.count('id="e0-1y-modalities"') == page.count('id="e1-mvi-modalities"') == 1
    assert "minus the best single one" in page
    assert "Clinical items (52)" in page
    assert "MRI (mri)" in page
    assert "principal components divided by the spread" in page
    assert "SIMULATED DATA" in page
    assert "internal/P0" not in page


def test_groups_are_judged_on_the_split_and_over_folds(analysed: tuple[Study, dict[str, Any]]) -> None:
    study, summary = analysed
    rows = rows_of(Path(summary["report"]).parent / "data" / "subgroups.csv")
    stored = query(study.folder, "SELECT * EXCLUDE (run_id) FROM subgroup_metric").to_dicts()
    names = sorted(stored[0])
    assert sorted([["" if row[name] is None else str(row[name]) for name in names] for row in stored]) == sorted(
        [[row[name] for name in names] for row in rows]
    )
    assert {(row["endpoint"], row["metric"]) for row in rows} == {
        *(("1y", metric) for metric in ("c_index", "observed_expected")),
        *(("mvi", metric) for metric in ("auroc", "observed_expected")),
    }
    for ratio in (True, False):
        splits = {row["split"] for row in rows if (row["metric"] == "observed_expected") == ratio}
        assert splits == {"held_out", "cross_validation"}
    assert {row["level"] for row in rows} >= {"female", "male"}
    crossed = [row for row in rows if row["split"] == "cross_validation"]
    assert any(row["lower"] for row in crossed)
    assert all(int(row["events"]) >= 5 for row in crossed if row["estimate"])


def test_a_finding_has_models_but_no_survival(analysed: tuple[Study, dict[str, Any]]) -> None:
    study, summary = analysed
    found = query(study.folder, "SELECT DISTINCT metric FROM metric WHERE endpoint = 'mvi'")["metric"].to_list()
    assert "auroc" in found
    assert "c_index" not in found
    assert query(study.folder, "SELECT count(*) AS n FROM hazard_ratio WHERE endpoint = 'mvi'")["n"][0] == 0
    assert query(study.folder, "SELECT count(*) AS n FROM hazard_ratio WHERE endpoint = '1y'")["n"][0] > 0
    notices = rows_of(Path(summary["report"]).parent / "data" / "notices.csv")
    assert next(row["title"] for row in notices if row["endpoint"] == "mvi") == "No survival analysis"
    assert not any(row["title"] == "No survival analysis" for row in notices if row["endpoint"] == "1y")
    models = query(study.folder, "SELECT DISTINCT model FROM metric WHERE endpoint = 'mvi'")["model"].to_list()
    assert {"mri_mlp", "clinical_logistic", "xgboost"} <= set(models)
    assert not {"pps_mlp", "mean_colour_logistic"} & set(models)


def test_what_tells_the_grade_is_no_predictor(analysed: tuple[Study, dict[str, Any]]) -> None:
    study, _ = analysed
    found = newest(study.folder, "mri")
    assert found is not None
    scope = Scope("internal", (), found)
    for endpoint, told in (("mvi", False), ("1y", True)):
        data = load_endpoint(study.folder, study.config, endpoint, scope)
        assert ("vascular_invasion" in data.indicator_names) is told
        assert data.modality == "mri"
        assert (data.timed, data.patients["treated"].any()) == (endpoint == "1y", False)
        inputs = load_inputs(study.folder, data, [found])
        assert [one.name for one in inputs] == ["mri", "clinical"]
        assert (inputs[0].seen, inputs[1].seen) == (data.seen, frozenset())
        assert len(inputs[0].vectors) == PATIENTS - 1


def test_a_seen_judge_of_either_set_is_refused(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    judge = study.sql("SELECT patient_id FROM split WHERE role = 'test' ORDER BY patient_id")["patient_id"][0]
    with Committer(study.folder) as committer:
        leak = {"feature_set": "mri-1", "patient_id": judge, "role": "trained"}
        committer.record("feature_sets", "leak", {"feature_set_patient": [leak]})
        committer.publish()
    with pytest.raises(LeakageError, match=r"\(mri\)"):
        study.analyze(("mvi",), features=("pps", "mri"))
    with pytest.raises(LeakageError):
        study.analyze(("mvi",), features="mri")


def test_the_settings_name_both_sets(analysed: tuple[Study, dict[str, Any]]) -> None:
    about = json.loads((Path(analysed[1]["report"]).parent / "data" / "about.json").read_text())
    assert about["settings"]["feature_set"] == "mri-1"
    assert about["settings"]["compared_with"] == ["pps-1"]
    assert about["feature_set"]["encoder"] == "cmd_student"


def test_indicators_stand_in_where_items_are_not_recorded(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", items=("afp", "alt", "tumour_number"))
    scope = Scope("internal", (), newest(study.folder, "mri"))
    assert scope.feature_set is not None
    data = load_endpoint(study.folder, study.config, "1y", scope)
    inputs = load_inputs(study.folder, data, [scope.feature_set])
    assert inputs[-1].label == "Indicators (3)"
    assert inputs[-1].detail == "alt, afp, vascular_invasion"


def test_a_cohort_with_grades_alone_is_split_and_analysed(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", recurrence=False)
    summary = study.analyze(("mvi",), features="mri")
    held_out = [row for row in summary.headline if row["split"] == "held_out"]
    assert {row["model"] for row in held_out} >= {"mri_mlp", "clinical_logistic"}
    assert all(row["n"] == PATIENTS // 5 for row in held_out)
    with pytest.raises(AnalysisError, match="none can be used"):
        study.analyze(("1y",), features="mri")


def test_wrong_feature_sets_are_named(analysed: tuple[Study, dict[str, Any]]) -> None:
    study = analysed[0]
    with pytest.raises(InputError, match="twice"):
        study.analyze(("1y",), features=("pps", "pps"))
    with pytest.raises(InputError, match=r"--features ct: .*mri, pps"):
        study.analyze(("1y",), features=("pps", "ct"))
    with pytest.raises(InputError, match="encoders of mri-1 for 0 of 2 folds"):
        study.analyze(("mvi",), features=("pps", "mri-1"), cross_validate=True)


def test_the_fitted_network_predicts_patients_without_a_grade(analysed: tuple[Study, dict[str, Any]]) -> None:
    study = analysed[0]
    with pytest.raises(InputError, match="no patients without outcomes"):
        study.predict(model="mri-1-mvi")
    models = study.sql("SELECT model FROM model_file ORDER BY model")["model"].to_list()
    assert models == ["mri-1-1y", "mri-1-mvi"]
