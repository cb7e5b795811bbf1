import numpy as np
import pytest

from hccfeat.analysis.clinical_models import (
    complete,
    fit_imputed_beside,
    fit_regressions,
    judged_by,
    resampled,
    treatment_of,
    treatments,
)
from hccfeat.analysis.imputed import impute
from hccfeat.analysis.rating import rate
from hccfeat.analysis.regressions import BY_TIME
from hccfeat.config import AnalysisConfig
from tests.analysis.described_study import described, everybody

FACTS = {"horizon": 12.0, "timed": True, "imputations": 4, "seed": 3}


def test_the_settings_choose_what_is_done_about_gaps() -> None:
    gaps, whole = everybody(described()), everybody(described(missing=0.0))
    for missing, expected in (
        ("both", ("complete", "multiple")), ("complete", ("complete",)), ("multiple", ("multiple",))
    ):  # fmt: skip
        settings = AnalysisConfig(missing=missing)
        assert treatments(gaps, settings) == expected
        assert treatments(whole, settings) == ("complete",)


def test_each_treatment_gives_both_models_with_their_own_n() -> None:
    patients = everybody(described(missing=0.2))
    models, problems = fit_regressions(patients, ("complete", "multiple"), **FACTS)
    assert problems == {}
    cases = complete(patients)
    expected = {
        "clinical_logistic": (cases & patients.labelled).sum(),
        "cox_clinical": cases.sum(),
        "clinical_logistic_imputed": patients.labelled.sum(),
        "cox_clinical_imputed": len(patients),
    }
    assert {model.name for model in models} == set(expected)
    for model in models:
        assert f"fitted on {expected[model.name]} " in model.description
        assert judged_by(model, patients).sum() == (len(patients) if "imputed" in model.name else cases.sum())
        assert treatment_of(model) == ("multiple" if "imputed" in model.name else "complete")
    lost = (patients.labelled & ~cases).sum()
    assert f"({lost} labelled patients lack an indicator)" in models[0].description


def test_beside_other_models_gaps_of_the_training_patients_are_imputed_where_asked_for() -> None:
    gaps, whole = everybody(described(missing=0.2)), everybody(described(missing=0.0))
    facts = {"horizon": 12.0, "timed": True}
    models, notices = fit_imputed_beside(gaps, AnalysisConfig(imputations=2), **facts)
    assert [model.name for model in models] == ["clinical_logistic_imputed", "cox_clinical_imputed"]
    assert all("averaged over 2 imputations" in model.description for model in models)
    assert notices == []
    assert fit_imputed_beside(whole, AnalysisConfig(), **facts) == ([], [])
    assert fit_imputed_beside(gaps, AnalysisConfig(missing="complete"), **facts) == ([], [])
    models, notices = fit_imputed_beside(gaps.take(np.arange(150) < 4), AnalysisConfig(imputations=2), **facts)
    assert models == []
    assert {notice.title for notice in notices} == {"No imputed model in cohort clinic"}


def test_predictions_of_imputed_models_are_averages_over_the_copies() -> None:
    patients = everybody(described(missing=0.2))
    models, _ = fit_regressions(patients, ("multiple",), **FACTS)
    model = next(model for model in models if model.name == "cox_clinical_imputed")
    imputed = impute(patients, [0, 1, 2], imputations=4, seed=3)
    fits = [BY_TIME.fit(x, patients, 12.0) for x in imputed.completed]
    others = everybody(described(8, missing=0.3))
    copies = imputed.of(others)
    rating = rate(model, others)
    ranks = [fit.rank(x) for fit, x in zip(fits, copies, strict=True)]
    by_then = [fit.probability(x) for fit, x in zip(fits, copies, strict=True)]
    assert rating.risk == pytest.approx(np.mean(ranks, axis=0))
    assert rating.probability == pytest.approx(np.mean(by_then, axis=0))
    assert rating.risk_by(np.array([12.0]))[:, 0] == pytest.approx(rating.probability)
    assert np.isfinite(rating.risk).all()


def test_where_nothing_is_missing_imputed_models_equal_those_of_complete_cases() -> None:
    patients = everybody(described(missing=0.0))
    models, _ = fit_regressions(patients, ("complete", "multiple"), **FACTS)
    by_name = {model.name: rate(model, patients) for model in models}
    for name in ("clinical_logistic", "cox_clinical"):
        assert by_name[f"{name}_imputed"].risk == pytest.approx(by_name[name].risk, rel=1e-10)
        assert by_name[f"{name}_imputed"].probability == pytest.approx(by_name[name].probability, rel=1e-10)


def test_a_training_set_without_gaps_still_imputes_its_judges() -> None:
    whole, gaps = everybody(described(missing=0.0)), everybody(described(8, missing=0.3))
    models, problems = fit_regressions(whole, ("multiple",), **FACTS)
    assert (len(models), problems) == (2, {})
    assert all(np.isfinite(rate(model, gaps).risk).all() for model in models)


def test_what_cannot_be_fitted_is_told() -> None:
    patients = everybody(described(missing=0.0))
    patients.indicators[::2, 0] = np.nan
    patients.indicators[1::2, 1] = np.nan
    models, problems = fit_regressions(patients, ("complete", "multiple"), **FACTS)
    assert {model.name for model in models} == {"clinical_logistic_imputed", "cox_clinical_imputed"}
    assert set(problems) == {"clinical_logistic", "cox_clinical"}
    assert "no patient has every indicator" in problems["cox_clinical"]
    free = patients.take(patients.event == 0)
    models, problems = fit_regressions(free, ("multiple",), **FACTS)
    assert models == []
    assert set(problems) == {"clinical_logistic_imputed", "cox_clinical_imputed"}


def test_resampled_patients_are_repeated_whole() -> None:
    patients = everybody(described())
    rows = np.array([3, 3, 7])
    found = resampled(patients, rows)
    for name in ("time", "event", "months", "recurred", "died"):
        np.testing.assert_array_equal(getattr(found, name), getattr(patients, name)[rows])
    np.testing.assert_array_equal(found.indicators, patients.indicators[rows])
    assert found.ids == [patients.ids[row] for row in rows]
