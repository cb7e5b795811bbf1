from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.comparators import ComparatorOptions
from hccfeat.analysis.load import Scope, load_endpoint
from hccfeat.analysis.recurrence import EndpointData, EndpointResult, analyse
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.study import init_study
from tests.analysis.described_study import NAMES, described

QUICK = AnalysisConfig(bootstraps=100, imputations=3, repeats=1, optimism=20)
MODELS = ["clinical_logistic", "cox_clinical", "clinical_logistic_imputed", "cox_clinical_imputed"]


@pytest.fixture(scope="module")
def data() -> EndpointData:
    return described(missing=0.2)


@pytest.fixture(scope="module")
def result(data: EndpointData) -> EndpointResult:
    return analyse(data, QUICK, comparators=ComparatorOptions(("cox", "coxnet")))


def test_all_patients_count_the_treated_too(study: Callable[..., EndpointData]) -> None:
    made = study(images=False, train=120, held_out=0, external=0)
    everyone = made.patients.with_columns(role=pl.lit("all"))
    found = analyse(study(images=False, train=120, held_out=0, external=0, patients=everyone), QUICK)
    assert made.patients["treated"].any()
    (row,) = found.attrition
    assert row["patients"] == 120
    assert next(row for row in found.hazard_ratios if row.term == "alt").n == made.indicators["alt"].count()


def test_every_model_has_apparent_corrected_and_cross_validated_figures(result: EndpointResult) -> None:
    found = {(row.model, row.split, row.metric): row for row in result.metrics}
    for model in MODELS:
        for metric in ("auroc", "c_index", "brier", "calibration_slope"):
            three = [
                found[model, "apparent", metric],
                found[model, "apparent", f"{metric}_corrected"],
                found[model, "cross_validation", metric],
            ]
            assert all(row.estimate is not None and np.isfinite(row.estimate) for row in three)
            assert len({(row.n, row.events) for row in three}) == 1
    assert len(found) == len(result.metrics)


def test_n_is_that_of_each_treatment_of_gaps(data: EndpointData, result: EndpointResult) -> None:
    labelled = data.patients.filter(pl.col("y").is_not_null()).join(data.indicators, on="patient_id")
    cases = labelled.drop_nulls(NAMES).height
    rows = {row.model: row for row in result.metrics if (row.metric, row.split) == ("auroc", "apparent")}
    assert rows["clinical_logistic"].n == cases
    assert rows["clinical_logistic_imputed"].n == labelled.height
    assert f"{labelled.height - cases} labelled patients lack an indicator" in rows["clinical_logistic"].method
    notice = next(notice for notice in result.notices if notice.title == "Patients of each model")
    assert all(f"{model}: fitted on" in notice.text for model in MODELS)
    assert "imputed 3 times" in notice.text


def test_comparators_are_cross_validated_on_the_same_folds(data: EndpointData, result: EndpointResult) -> None:
    rows = {row.model: row for row in result.metrics if (row.metric, row.split) == ("c_index", "cross_validation")}
    assert set(rows) == {*MODELS, "coxnet"}
    assert rows["coxnet"].n == rows["cox_clinical_imputed"].n == data.patients.height
    pairs = {(row.first, row.second) for row in result.comparisons}
    assert ("coxnet", "clinical_logistic") in pairs
    assert {row.split for row in result.comparisons} == {"cross_validation"}
    judged = [
        row.patient_id for row in result.predictions if (row.split, row.model) == ("cross_validation", "coxnet")
    ]
    assert sorted(judged) == sorted(data.patients["patient_id"])


def test_risk_groups_of_folds_have_curves_and_no_p(result: EndpointResult) -> None:
    groups = {group.model: group for group in result.groups if group.split == "cross_validation"}
    assert set(groups) >= set(MODELS)
    for group in groups.values():
        assert [curve.label for curve in group.curves] == ["low risk", "high risk"]
        assert (group.logrank_p, group.logrank_chisq) == (None, None)
        assert "no P" in group.note
    low, high = groups["cox_clinical_imputed"].curves
    assert low.events / low.n < high.events / high.n


def test_both_kinds_of_coefficients_are_there(result: EndpointResult) -> None:
    kinds = {row.kind for row in result.hazard_ratios}
    assert kinds >= {"univariable", "multivariable", "univariable, imputed", "multivariable, imputed"}
    assert list(result.logistic) == ["clinic", "clinic, imputed"]


def test_equal_input_gives_equal_results() -> None:
    once, again = (analyse(described(n=80, missing=0.2), QUICK) for _ in range(2))
    assert once.metrics == again.metrics
    assert once.hazard_ratios == again.hazard_ratios
    assert once.predictions == again.predictions


def test_nothing_missing_needs_no_imputation() -> None:
    found = analyse(described(n=100, missing=0.0), QUICK)
    assert {row.model for row in found.metrics} == {"clinical_logistic", "cox_clinical"}
    notice = next(notice for notice in found.notices if notice.title == "Patients of each model")
    assert "nothing to impute" in notice.text


def test_an_endpoint_without_a_time_has_logistic_models_alone() -> None:
    found = analyse(described(n=100, missing=0.2, timed=False), QUICK)
    assert {row.model for row in found.metrics} == {"clinical_logistic", "clinical_logistic_imputed"}
    assert {row.split for row in found.metrics} == {"apparent", "cross_validation"}
    assert found.groups == []


def test_separation_is_told_and_firth_gives_the_model() -> None:
    data = described(n=50, missing=0.0, horizon=None)
    told = data.indicators.with_columns(bclc=data.patients["y"].cast(pl.Float64))
    found = analyse(described(n=50, missing=0.0, horizon=None, indicators=told), QUICK)
    assert any(notice.kind == "separation" for notice in found.notices)
    auroc = next(row for row in found.metrics if row.metric == "auroc")
    assert auroc.estimate == 1.0
    assert "Firth's penalty" in auroc.method


def test_no_complete_case_leaves_the_imputed_models() -> None:
    data = described(n=100, missing=0.0)
    gaps = data.indicators.with_row_index().with_columns(
        afp=pl.when(pl.col("index") % 2 == 0).then(None).otherwise("afp"),
        bclc=pl.when(pl.col("index") % 2 == 1).then(None).otherwise("bclc"),
    )
    found = analyse(described(n=100, missing=0.0, indicators=gaps.drop("index")), QUICK)
    assert {row.model for row in found.metrics} == {"clinical_logistic_imputed", "cox_clinical_imputed"}
    assert any("no patient has every indicator" in notice.text for notice in found.notices)


def test_without_indicators_the_cohort_is_still_described() -> None:
    found = analyse(described(n=60, indicator_names=[]), QUICK)
    assert found.metrics == []
    assert any(notice.title == "No clinical model in cohort clinic" for notice in found.notices)
    assert found.survival


def test_no_events_is_an_error() -> None:
    nobody = described(n=40).patients.with_columns(event=pl.lit(False), y=pl.lit(0, pl.Int8))
    with pytest.raises(AnalysisError, match="cohort clinic: has no events"):
        analyse(described(n=40, patients=nobody), QUICK)


@pytest.mark.real_data
def test_tcga_by_tissue_source_site(real_data: Path, tmp_path: Path) -> None:
    """377 patients, 27 of whom lack stage, grade or age; folds of sites, whose barcodes name them."""
    study = init_study(tmp_path / "study", name="tcga")
    file = real_data / "tcga_lihc" / "derived" / "tcga_cdr_lihc.csv"
    study.ingest("tcga-cdr", file, table_format="tcga-cdr")
    data = load_endpoint(study.folder, study.config, "pfi", Scope("tcga-cdr", (), None))
    found = analyse(data, QUICK.model_copy(update={"folds_by": "site"}))
    rows = {(row.model, row.split): row for row in found.metrics if row.metric == "c_index"}
    imputed = rows["cox_clinical_imputed", "apparent"]
    assert (imputed.n, imputed.events) == (371, 184)
    assert rows["cox_clinical", "apparent"].n < 371
    for model in MODELS:
        apparent, honest = rows[model, "apparent"], rows[model, "cross_validation"]
        assert 0.5 < honest.estimate < apparent.estimate < 0.75
        assert honest.lower < honest.estimate < honest.upper
    ratios = {row.term: row for row in found.hazard_ratios if row.kind == "multivariable, imputed"}
    assert ratios["ajcc_stage"].lower > 1
    assert ratios["ajcc_stage"].n == 371
