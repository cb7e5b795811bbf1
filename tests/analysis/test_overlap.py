import numpy as np
import pytest

from hccfeat.analysis.overlap import balance_of, propensity_overlap


def test_balance_by_hand() -> None:
    treated = np.array([0, 0, 0, 0, 1, 1, 1, 1], dtype=bool)
    flag = np.array([0, 0, 0, 1, 1, 1, 1, 0], dtype=float)
    size = np.array([1, 2, 3, 4, 3, 4, 5, np.nan])
    share, mean = balance_of(treated, {"flag": flag, "size": size})
    assert (share.untreated, share.treated, share.missing) == (0.25, 0.75, (0, 0))
    # (0.75 - 0.25) / sqrt((0.1875 + 0.1875) / 2)
    assert share.difference.value == pytest.approx(0.5 / np.sqrt(0.1875))
    assert (mean.untreated, mean.treated, mean.missing) == (2.5, 4.0, (0, 1))
    assert mean.difference.value == pytest.approx(1.5 / np.sqrt((5 / 3 + 1) / 2))
    assert mean.difference.n == (3, 4)


def test_an_arm_without_values_has_no_difference() -> None:
    (found,) = balance_of(np.array([False, True, True]), {"x": np.array([np.nan, 1.5, 2.5])})
    assert (found.untreated, found.treated, found.missing) == (None, 2.0, (1, 0))
    assert found.difference.value is None
    assert found.difference.reason


def arms(shift: float, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    x = generator.normal(size=n)
    return generator.random(n) < 1 / (1 + np.exp(-shift * x)), x


def test_overlap_shrinks_as_covariates_decide() -> None:
    areas, outside = [], []
    for shift in (0.0, 1.0, 4.0):
        treated, x = arms(shift)
        found = propensity_overlap(treated, {"x": x})
        assert (found.untreated.sum(), found.treated.sum()) == ((~treated).sum(), treated.sum())
        assert len(found.untreated) == len(found.edges) - 1
        assert not found.reason
        areas.append(found.auroc.value)
        outside.append(sum(found.outside))
    assert areas[0] < 0.6 < areas[1] < 0.85 < areas[2]
    assert outside[0] < outside[2]


def test_patients_beyond_the_other_arm_are_counted() -> None:
    x = np.array([0.0, 1, 2, 3, 4, 5, 6, 7])
    treated = np.array([0, 0, 0, 1, 0, 1, 1, 1], dtype=bool)
    assert propensity_overlap(treated, {"x": x}).outside == (3, 3)


def test_who_lacks_a_covariate_and_what_many_lack_is_left_out() -> None:
    treated, x = arms(1.0)
    few, many = x.copy(), x.copy()
    few[:10], many[:200] = np.nan, np.nan
    found = propensity_overlap(treated, {"few": few, "many": many, "constant": np.ones(400)})
    assert found.auroc.n == 390
    assert found.method == "logistic regression of treatment on few; 390 complete cases of 400"


def test_without_a_model_the_reason_is_given() -> None:
    treated, x = arms(1.0)
    nothing = propensity_overlap(treated, {"constant": np.ones(400)})
    apart = propensity_overlap(treated, {"x": np.where(treated, 5.0, -5.0) + 0.1 * x})
    alone = propensity_overlap(np.zeros(400, dtype=bool), {"x": x})
    for found in (nothing, apart, alone):
        assert found.reason
        assert found.auroc.value is None
        assert (len(found.untreated), found.outside) == (0, (0, 0))
