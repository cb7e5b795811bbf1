from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import ArrayLike

from hccfeat.analysis.comparators import ComparatorOptions
from hccfeat.analysis.load import Scope, load_endpoint
from hccfeat.analysis.recurrence import EndpointData, EndpointResult, analyse
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.report.blocks import Scene
from hccfeat.report.hazard_view import hazards
from hccfeat.report.methods import methods_text
from hccfeat.report.risk_view import calibration, decision, distribution
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.risksets import RiskSets, Ties
from hccfeat.study import init_study
from tests.analysis.described_study import NAMES, described
from tests.report.sample import clinical_report

QUICK = AnalysisConfig(bootstraps=100, imputations=3, repeats=1, optimism=20)
MODELS = ["clinical_logistic", "cox_clinical", "clinical_logistic_imputed", "cox_clinical_imputed"]


@pytest.fixture(scope="module")
def data() -> EndpointData:
    groups = {"patient_id": [f"clinic/P{k:04d}" for k in range(150)], "sex": ["female", "male"] * 75}
    return described(missing=0.2, groups=pl.DataFrame(groups))


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


def test_groups_are_judged_over_folds_by_every_model(result: EndpointResult) -> None:
    rows = {(row.model, row.level): row for row in result.subgroups if row.metric == "c_index"}
    ratios = {(row.model, row.level): row for row in result.subgroups if row.metric == "observed_expected"}
    assert {row.split for row in result.subgroups} == {"cross_validation"}
    assert ratios.keys() == rows.keys()
    assert all(0.5 < row.estimate < 2 and "out-of-fold" in row.method for row in ratios.values())
    for model in MODELS:
        female, male = rows[model, "female"], rows[model, "male"]
        everybody = next(
            row
            for row in result.metrics
            if (row.model, row.split, row.metric) == (model, "cross_validation", "c_index")
        )
        assert female.n + male.n == everybody.n
        assert female.events + male.events == everybody.events
        assert 0 < female.lower < female.estimate < female.upper <= 1


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


def test_risks_of_the_patients_of_the_fit_have_no_p(result: EndpointResult) -> None:
    apparent = [group for group in result.groups if group.split == "apparent"]
    assert {(group.logrank_p, group.logrank_chisq, group.test) for group in apparent} == {(None, None, "")}
    assert all("no P, because" in group.note for group in apparent)
    rows = [row for row in result.hazard_ratios if row.kind in ("risk group, apparent", "risk per SD, apparent")]
    assert {row.term for row in rows} == set(MODELS)
    assert all(row.p is None and row.hr is not None for row in rows)
    assert not {test.model for test in result.proportionality} & set(MODELS)


def test_curves_are_of_probabilities_that_had_not_seen_the_patient(result: EndpointResult) -> None:
    n = {row.model: row.n for row in result.metrics if (row.metric, row.split) == ("auroc", "cross_validation")}
    judged = [curve for curve in result.calibrations if curve.split == "cross_validation"]
    assert {(curve.model, curve.months) for curve in judged} == {
        (m, at) for m in (*MODELS, "coxnet") for at in (None, 12)
    }
    assert all(curve.n == n[curve.model] for curve in judged if curve.months is None)
    spread = {one.model: one for one in result.distributions if one.split == "cross_validation"}
    assert {name: one.with_event.sum() + one.without_event.sum() for name, one in spread.items()} == n
    decided = [curve for curve in result.decisions if curve.split == "cross_validation"]
    assert {curve.model for curve in decided} == {*n, "treat all", "treat none"}
    told = [one.method for one in (*judged, *spread.values(), *(c for c in decided if c.model in n))]
    assert all("out-of-fold: each patient's probability" in method for method in told)
    apparent = next(c for c in result.calibrations if (c.split, c.model, c.months) == ("apparent", MODELS[1], 12.0))
    own = next(curve for curve in judged if (curve.model, curve.months) == (MODELS[1], 12.0))
    assert not np.allclose(own.predicted, apparent.predicted)
    scene = Scene(0, {name: k for k, name in enumerate(n)}, simulated=False)
    for view in (calibration, decision, distribution):
        shown = view(result, scene, "e").parts[0]
        assert shown.figures
        assert not shown.apparent
        assert all("out-of-fold" in figure.caption for figure in shown.figures)
    text = " ".join(methods_text(replace(clinical_report(), endpoints=[result])))
    assert "fitted without that patient (out-of-fold)" in text


def test_brier_differences_of_folds_are_paired(result: EndpointResult) -> None:
    """Ranks of a Cox model are no probabilities; its probabilities by the horizon are compared."""
    rows = {row.first: row for row in result.comparisons if row.metric == "brier"}
    assert set(rows) == {*MODELS[1:], "coxnet"}
    assert all(row.lower < row.difference < row.upper for row in rows.values())
    score = {r.model: r.estimate for r in result.metrics if (r.metric, r.split) == ("brier", "cross_validation")}
    assert rows[MODELS[1]].difference == pytest.approx(score[MODELS[1]] - score[MODELS[0]], rel=1e-9)
    assert "mean of 5 folds; paired" in rows[MODELS[1]].method


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


def test_ties_of_the_study_file_reach_every_cox_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole months make ties; every fit by maximum likelihood must ask for Breslow's."""
    asked: list[str] = []
    fit = RiskSets.__init__

    def spy(self: RiskSets, time: ArrayLike, event: ArrayLike, ties: Ties = "efron") -> None:
        asked.append(ties)
        fit(self, time, event, ties)

    monkeypatch.setattr(RiskSets, "__init__", spy)
    made = described(n=90, missing=0.15, horizon=None)
    whole = [pl.col(name).ceil() for name in ("time", "months")]
    data = replace(made, patients=made.patients.with_columns(whole))
    settings = QUICK.model_copy(update={"ties": "breslow"})
    found = analyse(data, settings, comparators=ComparatorOptions(("cox",)))
    assert set(asked) == {"breslow"}
    assert {row.ties for row in found.hazard_ratios} == {"breslow"}
    rows = data.patients.join(data.indicators, on="patient_id").drop_nulls("afp")
    expected = cox_model(rows["time"].to_numpy(), rows["event"].to_numpy(), rows["afp"].to_numpy(), "breslow")
    own = next(row for row in found.hazard_ratios if (row.kind, row.term) == ("univariable", "afp"))
    assert own.hr == pytest.approx(expected.hazard_ratios()[0, 0], rel=1e-12)
    methods = {row.method for row in found.metrics if row.model.startswith("cox_clinical") and "raw" in row.method}
    assert methods
    assert all("Cox regression (Breslow ties)" in method for method in methods)
    assert all("Breslow's ties" in test.method for test in found.tests if "Cox" in test.method)
    text = " ".join(methods_text(replace(clinical_report(), endpoints=[found])))
    assert "ties were handled by the Breslow method" in text
    assert "Efron" not in text
    shown = hazards(found, Scene(0, {}, simulated=False), "e")
    assert "hazard ratios (Cox, Breslow ties)" in shown.parts[0].tables[0]


def test_default_ties_are_no_setting_and_others_are() -> None:
    assert "ties" not in AnalysisConfig().model_dump(mode="json")
    assert AnalysisConfig(ties="breslow").model_dump(mode="json")["ties"] == "breslow"


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
