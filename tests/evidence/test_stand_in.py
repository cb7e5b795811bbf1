import numpy as np
import pytest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from hccfeat.evidence.patients import Labels, untreated
from hccfeat.evidence.stand_in import area, fit_scores, measures, ridge_cox, standardised

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("penalty", [0.01, 1.0, 10.0])
def test_ridge_cox_agrees_with_scikit_survival_ties_included(penalty: float) -> None:
    x = RNG.normal(size=(120, 40))
    months, event = np.ceil(RNG.exponential(20, 120)), RNG.random(120) < 0.6
    reference = CoxPHSurvivalAnalysis(alpha=penalty, ties="breslow", tol=1e-12, n_iter=200)
    reference.fit(x, Surv.from_arrays(event, months))
    np.testing.assert_allclose(ridge_cox(x, months, event, penalty), reference.coef_, atol=1e-8)


def test_standardisation_learns_from_training_patients_only() -> None:
    features = RNG.normal(3, 2, size=(50, 4))
    scaled = standardised(features, 30)
    np.testing.assert_allclose(scaled[:30].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled[:30].std(axis=0), 1)
    features[30:] += 100
    np.testing.assert_allclose(standardised(features, 30)[:30], scaled[:30])


@pytest.mark.parametrize("survival", [False, True])
def test_scores_rise_with_the_feature_that_decides(survival: bool) -> None:
    features = RNG.normal(size=(400, 8))
    months = RNG.exponential(20 * np.exp(-2 * features[:, 0]))
    labels = Labels(np.arange(200), np.ones(200, int) if survival else (features[:200, 0] > 0).astype(int))
    if survival:
        labels = Labels(labels.rows, labels.y, months[:200])
    scores = fit_scores(features, labels, slice(200, None), 0.1)
    assert np.corrcoef(scores, features[200:, 0])[0, 1] > 0.85


def test_measures_of_the_truth() -> None:
    people = untreated(500, 9, pi=0.0, gamma=1.0, horizon=12.0)[0]
    early, aggressive = measures(people.aggressiveness, people)
    assert aggressive == 1.0
    assert 0.65 < early < 0.9
    assert measures(-people.aggressiveness, people) == pytest.approx((1 - early, 0.0))
    assert area(np.array([True, False, False]), np.array([0.5, 0.5, 0.1])) == 0.75
