import numpy as np
import pytest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

from hccfeat.errors import AnalysisError
from hccfeat.stats.imputer import fit_imputer

TRUE_MEAN = np.array([50.0, 0.0, 3.0])
TRUE_COVARIANCE = np.array([[100.0, 6.0, 4.0], [6.0, 1.0, 0.5], [4.0, 0.5, 2.0]])


def drawn(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).multivariate_normal(TRUE_MEAN, TRUE_COVARIANCE, size=n)


def with_holes(x: np.ndarray, share: float, seed: int = 2) -> np.ndarray:
    holes = x.copy()
    holes[np.random.default_rng(seed).random(x.shape) < share] = np.nan
    return holes


def test_known_values_stay_to_the_last_digit() -> None:
    x = with_holes(drawn(80), 0.2)
    found = fit_imputer(x, imputations=3, seed=1)
    known = ~np.isnan(x)
    assert not np.isnan(found.completed).any()
    assert all((copy[known] == x[known]).all() for copy in found.completed)
    further = with_holes(drawn(10, 9), 0.4, 5)
    completed = found.impute(further, seed=3)
    assert (completed[:, ~np.isnan(further)] == further[~np.isnan(further)]).all()


def test_nothing_missing_gives_equal_copies() -> None:
    x = drawn(40)
    found = fit_imputer(x, imputations=4, seed=1)
    assert all((copy == x).all() for copy in found.completed)


def test_the_parameters_are_those_that_made_the_data() -> None:
    found = fit_imputer(with_holes(drawn(4000), 0.15), imputations=20, seed=1)
    means = found.means * found.scale + found.centre
    covariances = found.covariances * np.outer(found.scale, found.scale)
    assert means.mean(axis=0) == pytest.approx(TRUE_MEAN, abs=0.4)
    assert covariances.mean(axis=0) == pytest.approx(TRUE_COVARIANCE, rel=0.1)


def test_draws_follow_the_conditional_distribution() -> None:
    """One missing value given the other two: the regression's mean and residual SD, by the textbook formula."""
    x = drawn(1000)
    row = np.array([[np.nan, 1.0, 5.0]])
    found = fit_imputer(x, imputations=400, seed=1).impute(np.repeat(row, 20, axis=0), seed=2)[:, :, 0]
    slopes = TRUE_COVARIANCE[0, 1:] @ np.linalg.inv(TRUE_COVARIANCE[1:, 1:])
    mean = TRUE_MEAN[0] + slopes @ (row[0, 1:] - TRUE_MEAN[1:])
    spread = np.sqrt(TRUE_COVARIANCE[0, 0] - slopes @ TRUE_COVARIANCE[1:, 0])
    assert found.mean() == pytest.approx(mean, abs=1.0)
    assert found.std() == pytest.approx(spread, rel=0.05)


def test_a_row_of_which_nothing_is_known_is_drawn_from_the_whole_distribution() -> None:
    x = drawn(1000)
    found = fit_imputer(x, imputations=400, seed=1).impute(np.full((20, 3), np.nan), seed=2).reshape(-1, 3)
    assert found.mean(axis=0) == pytest.approx(x.mean(axis=0), abs=0.5)
    assert np.cov(found.T) == pytest.approx(np.cov(x.T), rel=0.15)


def test_missing_at_random_is_repaired_where_complete_cases_are_not() -> None:
    """The second column is missing mostly where the first is high: its mean among the known is far too low."""
    x = drawn(4000)
    holes = x.copy()
    gone = np.random.default_rng(3).random(4000) < 1 / (1 + np.exp(-(x[:, 0] - 50) / 5))
    holes[gone, 1] = np.nan
    assert holes[~gone, 1].mean() < -0.25
    found = fit_imputer(holes, imputations=10, seed=1).completed[:, :, 1].mean()
    assert found == pytest.approx(x[:, 1].mean(), abs=0.06)


def test_it_agrees_with_chained_equations_of_scikit_learn() -> None:
    holes = with_holes(drawn(400), 0.2)
    ours = fit_imputer(holes, imputations=20, seed=1).completed
    theirs = np.array(
        [
            IterativeImputer(sample_posterior=True, max_iter=10, random_state=k, tol=0).fit_transform(holes)
            for k in range(8)
        ]
    )
    gone = np.isnan(holes)
    for column in range(3):
        rows = gone[:, column]
        a, b = ours[:, rows, column], theirs[:, rows, column]
        assert a.mean() == pytest.approx(b.mean(), abs=0.12 * np.sqrt(TRUE_COVARIANCE[column, column]))
        assert a.std(axis=0).mean() == pytest.approx(b.std(axis=0, ddof=1).mean(), rel=0.15)


def test_uncertain_parameters_make_the_spread_of_the_pooled_mean_honest() -> None:
    """Between imputations the mean varies about as much as the missing share says (Rubin 1987)."""
    holes = with_holes(drawn(200), 0.3)
    found = fit_imputer(holes, imputations=400, seed=1).completed[:, :, 0].mean(axis=1)
    among = np.isnan(holes[:, 0]).sum()
    residual = TRUE_COVARIANCE[0, 0] - TRUE_COVARIANCE[0, 1] ** 2
    least = np.sqrt(among * residual / 2) / 200
    assert least < found.std(ddof=1) < 2.5 * np.sqrt(among * 100) / 200


def test_equal_seeds_give_equal_draws_and_others_do_not() -> None:
    x = with_holes(drawn(60), 0.2)
    one, two, three = (fit_imputer(x, imputations=3, seed=seed) for seed in (1, 1, 2))
    assert (one.completed == two.completed).all()
    assert (one.completed != three.completed).any()
    assert (one.impute(x, 4) == two.impute(x, 4)).all()


def test_further_rows_do_not_change_each_others_imputation_model() -> None:
    found = fit_imputer(with_holes(drawn(60), 0.2), imputations=3, seed=1)
    before = found.means.copy(), found.covariances.copy()
    found.impute(np.full((5, 3), 1e6) * [[1, np.nan, 1]], seed=2)
    assert (found.means == before[0]).all()
    assert (found.covariances == before[1]).all()


def test_collinear_columns_are_imputed_from_each_other() -> None:
    x = drawn(100)
    x[:, 2] = 2 * x[:, 1] + 1
    x[:10, 2] = np.nan
    found = fit_imputer(x, imputations=3, seed=1)
    assert found.completed[:, :10, 2] == pytest.approx(np.tile(2 * x[:10, 1] + 1, (3, 1)), abs=0.05)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((10, 2)), "constant"),
        (np.random.default_rng(1).normal(size=(3, 2)), "3 patients for 2 columns"),
        (np.column_stack([np.arange(9.0), np.full(9, np.nan)]), "hardly known"),
        (np.arange(9.0), "shape"),
        (np.full((9, 2), np.inf), "infinite"),
    ],
)
def test_what_cannot_be_imputed_is_refused(rows: np.ndarray, message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        fit_imputer(rows, imputations=2, seed=1)


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(AnalysisError, match="for 3 columns"):
        fit_imputer(drawn(30), imputations=2, seed=1).impute(np.ones((2, 4)), seed=1)
