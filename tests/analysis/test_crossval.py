from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.comparators import ComparatorOptions
from hccfeat.analysis.crossval import average, fold_times
from hccfeat.analysis.recurrence import EndpointData, analyse_folds
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.stats.discrimination import auroc
from hccfeat.stats.estimate import Estimate
from tests.analysis.people import people

Study = Callable[..., EndpointData]


def make_folds(study: Study, k: int = 3, **changes: object) -> list[EndpointData]:
    """The development patients of one study dealt to k folds; each fold's encoder turned its vectors."""
    data = study(external=0, treated=0.0, **changes)
    ids = data.patients["patient_id"].to_list()
    folds = []
    for fold in range(k):
        judges = set(ids[fold::k])
        role = pl.when(pl.col("patient_id").is_in(judges)).then(pl.lit("held_out")).otherwise(pl.lit("train"))
        scale = 10.0**fold
        vectors = np.stack([np.asarray(vector) * scale for vector in data.images["vector"]]).astype(np.float32)
        folds.append(
            study(
                external=0,
                treated=0.0,
                **changes,
                patients=data.patients.with_columns(role=role),
                images=data.images.with_columns(
                    vector=pl.Series(vectors, dtype=pl.Array(pl.Float32, vectors.shape[1]))
                ),
                seen=set(ids) - judges,
            )
        )
    return folds


def test_metrics_are_means_over_folds(study: Study, quick: type, settings: AnalysisConfig) -> None:
    folds = make_folds(study)
    result = analyse_folds(folds, settings, fit_images=quick)
    assert {row.split for row in result.metrics} == {"cross_validation"}
    for model in ("pps_mlp", "clinical_logistic", "integrated_logistic", "xgboost"):
        mine = [row for row in result.metrics if row.model == model]
        per_fold = [row for row in mine if row.metric == "auroc_fold"]
        mean = next(row for row in mine if row.metric == "auroc")
        assert len(per_fold) == 3
        assert mean.estimate == pytest.approx(np.mean([row.estimate for row in per_fold]))
        assert mean.n == sum(row.n for row in per_fold)
        assert mean.events == sum(row.events for row in per_fold)
        assert mean.lower < mean.estimate < mean.upper
        assert "mean of 3 of 3 folds" in mean.method
    pps = next(row for row in result.metrics if (row.model, row.metric) == ("pps_mlp", "auroc"))
    assert pps.estimate > 0.6
    judged = [row.patient_id for row in result.predictions if row.model == "pps_mlp"]
    assert sorted(judged) == sorted(folds[0].patients["patient_id"])


def test_the_interval_of_the_mean_combines_the_folds() -> None:
    y = np.tile([0, 0, 1, 0, 1], 8)
    generator = np.random.default_rng(1)
    folds = [auroc(y, y + generator.normal(size=40)) for _ in range(4)]
    found = average("auroc", folds)
    error = np.sqrt(sum(fold.standard_error**2 for fold in folds)) / 4
    assert found.upper - found.value == pytest.approx(1.959964 * error, rel=1e-6)
    assert "DeLong" in found.method
    bare = [replace(fold, standard_error=None) for fold in folds]
    assert average("f1", bare).lower is None
    slope = average("calibration_slope", [replace(fold, value=fold.value + 1) for fold in folds])
    assert slope.value < slope.upper
    assert slope.upper > 1.8


def test_a_fold_of_one_class_has_no_models_and_says_so(study: Study, quick: type, settings: AnalysisConfig) -> None:
    folds = make_folds(study)
    train = pl.col("role") == "train"
    single = folds[1].patients.with_columns(y=pl.when(train).then(pl.lit(0, pl.Int8)).otherwise(pl.col("y")))
    folds[1] = replace(folds[1], patients=single)
    result = analyse_folds(folds, settings, fit_images=quick)
    notices = [notice for notice in result.notices if notice.kind == "one_class"]
    assert [notice.title for notice in notices] == ["Fold 2: one class"]
    row = next(r for r in result.metrics if (r.model, r.metric) == ("pps_mlp", "auroc"))
    assert "mean of 2 of 3 folds" in row.method
    assert row.lower is None
    alone = [replace(fold, patients=fold.patients.with_columns(y=pl.lit(0, pl.Int8))) for fold in folds]
    with pytest.raises(AnalysisError, match="no fold that can be trained"):
        analyse_folds(alone, settings, fit_images=quick)


def test_gaps_are_imputed_inside_each_fold_beside_the_medians(
    study: Study, quick: type, settings: AnalysisConfig
) -> None:
    found = analyse_folds(
        make_folds(study, missing=0.2), settings, fit_images=quick, comparators=ComparatorOptions(("cox",))
    )
    rows = {(row.model, row.metric): row for row in found.metrics}
    for model in ("clinical_logistic_imputed", "cox_clinical_imputed"):
        mean = rows[model, "auroc"]
        assert (mean.n, mean.events) == (rows["pps_mlp", "auroc"].n, rows["pps_mlp", "auroc"].events)
        assert mean.lower < mean.estimate < mean.upper
        assert "mean of 3 of 3 folds" in mean.method
        assert "predictions averaged over 2 imputations" in mean.method


def test_concordance_and_net_benefit_are_means_with_intervals(
    study: Study, quick: type, settings: AnalysisConfig
) -> None:
    folds = make_folds(study)
    result = analyse_folds(folds, settings, fit_images=quick)
    rows = {row.metric: row for row in result.metrics if row.model == "pps_mlp"}
    for name in ("c_index", "c_uno", "auc_at", "brier", "brier_scaled"):
        assert rows[name].lower < rows[name].estimate < rows[name].upper
        assert "own variances" in rows[name].method
    curves = {(curve.model, curve.months): curve for curve in result.decisions}
    assert {("pps_mlp", None), ("pps_mlp", 12.0), ("treat all", 12.0), ("treat none", None)} <= set(curves)
    assert "mean of 3 folds" in curves["treat none", None].method
    assert not curves["treat none", None].net_benefit.any()
    labelled = sum(int(fold.patients.filter(pl.col("role") == "held_out")["y"].count()) for fold in folds)
    assert curves["pps_mlp", None].n == labelled
    dealt = result.artefacts["folds"]
    assert dealt == {
        patient: k
        for k, fold in enumerate(folds, start=1)
        for patient in fold.patients.filter(pl.col("role") == "held_out")["patient_id"]
    }


def test_folds_without_a_horizon_are_judged_at_the_same_times() -> None:
    near, far = (people(np.full(8, months), np.zeros(8)) for months in (20.0, 40.0))
    assert fold_times([near, far], None) == (12.0,)
    assert fold_times([far, far], None) == (12.0, 24.0, 36.0)
    assert fold_times([near], 24.0) == (24.0,)


def test_a_fold_without_a_number_is_named_and_forbids_the_interval() -> None:
    good = Estimate(0.7, 0.6, 0.8, 30, 10, "", 0.05)
    found = average("auroc", [good, Estimate(None, None, None, 5, 0, "one class")])
    assert (found.value, found.lower, found.n, found.events) == (0.7, None, 35, 10)
    assert "1 of 2 folds" in found.method
    assert average("auroc", [Estimate(None, None, None, 5, 0, "")]).value is None


def test_a_judge_whom_the_folds_encoder_has_seen_is_a_leak(
    study: Study, quick: type, settings: AnalysisConfig
) -> None:
    folds = make_folds(study)
    folds[1].seen.add(folds[1].patients.filter(pl.col("role") == "held_out")["patient_id"][0])
    with pytest.raises(LeakageError, match="fold 2"):
        analyse_folds(folds, settings, fit_images=quick)


def test_one_encoder_for_all_folds_is_a_leak(study: Study, quick: type, settings: AnalysisConfig) -> None:
    folds = make_folds(study)
    for fold in folds:
        fold.seen.update(folds[0].patients["patient_id"])
    with pytest.raises(LeakageError):
        analyse_folds(folds, settings, fit_images=quick)


def test_a_patient_judges_once(study: Study, quick: type, settings: AnalysisConfig) -> None:
    folds = make_folds(study)
    with pytest.raises(LeakageError, match="another fold"):
        analyse_folds([folds[0], folds[0]], settings, fit_images=quick)


def test_too_few_folds_or_patients_are_errors(study: Study, quick: type, settings: AnalysisConfig) -> None:
    folds = make_folds(study)
    with pytest.raises(AnalysisError, match="1 folds"):
        analyse_folds(folds[:1], settings, fit_images=quick)
    empty = make_folds(study)
    empty[2] = study(images=False, patients=empty[2].patients.with_columns(role=pl.lit("train")))
    with pytest.raises(AnalysisError, match="fewer folds than patients"):
        analyse_folds(empty, settings, fit_images=quick)


def test_null_embeddings_give_half_in_cross_validation(study: Study, quick: type) -> None:
    found = []
    for seed in range(6):
        folds = make_folds(study, seed=seed, signal=0.0, dimensions=30, train=80, held_out=40, indicator_names=[])
        result = analyse_folds(folds, AnalysisConfig(bootstraps=100), fit_images=quick)
        found.append(next(r.estimate for r in result.metrics if (r.model, r.metric) == ("pps_mlp", "auroc")))
    assert abs(np.mean(found) - 0.5) < 0.06
