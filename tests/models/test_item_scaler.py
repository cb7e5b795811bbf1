"""Imputation and scaling of clinical items: against scikit-learn, and what must not leak or break."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hccfeat.errors import ConfigError
from hccfeat.models.item_scaler import ItemScaler


@given(seed=st.integers(0, 10_000), patients=st.integers(5, 40), missing=st.floats(0, 0.4))
def test_it_does_what_scikit_learn_does(seed: int, patients: int, missing: float) -> None:
    generator = np.random.default_rng(seed)
    train, test = (generator.normal(50, [1, 30, 0.01, 2000], (n, 4)) for n in (patients, 6))
    train[generator.random(train.shape) < missing] = np.nan
    train[:2] = [[1, 2, 3, 4], [2, 4, 6, 8]]  # no item is missing in all or constant, which has a rule of its own
    test[generator.random(test.shape) < missing] = np.nan
    pipeline = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(train)
    found = ItemScaler(4).fit(train)(torch.from_numpy(test))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), pipeline.transform(test), rtol=1e-3, atol=1e-3)


def test_constant_items_and_items_missing_in_all_are_zero_for_everyone() -> None:
    train = np.array([[0.1, np.nan, 1.0], [0.1, np.nan, 3.0], [np.nan, np.nan, 2.0]])
    scaler = ItemScaler(3).fit(train)
    found = scaler(torch.tensor([[0.1, 5.0, 2.0], [99.0, torch.nan, torch.nan]]))
    assert found.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_new_patients_do_not_change_what_was_learned() -> None:
    scaler = ItemScaler(2).fit(np.array([[1.0, 2.0], [3.0, 5.0], [2.0, 2.0]]))
    before = {name: value.clone() for name, value in scaler.state_dict().items()}
    first = scaler(torch.tensor([[2.0, torch.nan]]))
    together = scaler(torch.tensor([[2.0, torch.nan], [1e6, -1e6]]))
    assert torch.equal(first[0], together[0])
    assert all(torch.equal(before[name], value) for name, value in scaler.state_dict().items())


def test_it_travels_with_the_state() -> None:
    scaler, other = ItemScaler(2).fit(np.array([[1.0, 2.0], [3.0, 5.0]])), ItemScaler(2)
    other.load_state_dict(scaler.state_dict())
    raw = torch.tensor([[7.0, torch.nan]])
    assert torch.equal(other(raw), scaler(raw))
    assert not list(scaler.parameters())


def test_it_must_be_fitted_first() -> None:
    with pytest.raises(ConfigError, match="training patients"):
        ItemScaler(2)(torch.zeros(1, 2))


@pytest.mark.parametrize(
    "matrix", [np.zeros((0, 2)), np.zeros((3, 4)), np.zeros(2), np.array([[1.0, np.inf]])], ids=str
)
def test_a_matrix_that_cannot_be_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="clinical items"):
        ItemScaler(2).fit(matrix)
