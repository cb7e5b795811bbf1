"""Two-atom sparse dictionary learning against exhaustive and library solutions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from hccfeat.slides.dictionary import binned, learn_dictionary, sparse_codes


def random_atoms(rng: np.random.Generator) -> np.ndarray:
    atoms = rng.random((2, 3)) + 0.01
    return atoms / np.linalg.norm(atoms, axis=1, keepdims=True)


def objective(x: np.ndarray, dictionary: np.ndarray, codes: np.ndarray, lambda1: float) -> np.ndarray:
    return 0.5 * ((x - codes @ dictionary) ** 2).sum(1) + lambda1 * codes.sum(1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_codes_without_penalty_are_non_negative_least_squares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    atoms, x = random_atoms(rng), 2 * rng.random((20, 3))
    expected = np.array([nnls(atoms.T, point)[0] for point in x])
    np.testing.assert_allclose(sparse_codes(x, atoms, 0.0), expected, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.5))
def test_no_other_code_is_better(seed: int, lambda1: float) -> None:
    rng = np.random.default_rng(seed)
    atoms, x = random_atoms(rng), rng.random((50, 3))
    codes = sparse_codes(x, atoms, lambda1)
    best = objective(x, atoms, codes, lambda1)
    for _ in range(50):
        other = np.maximum(codes + rng.normal(0, 0.1, codes.shape), 0)
        assert (objective(x, atoms, other, lambda1) >= best - 1e-12).all()


def mixed(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    atoms = np.array([[0.55, 0.74, 0.39], [0.28, 0.81, 0.52]])
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = rng.exponential(0.6, (4000, 2)) * (rng.random((4000, 2)) < 0.6)
    return np.maximum(codes @ atoms + rng.normal(0, 0.02, (4000, 3)), 0), atoms


def test_the_optimum_does_not_depend_on_the_start() -> None:
    x, _ = mixed()
    weights = np.ones(len(x))
    found = []
    for seed in range(4):
        start = random_atoms(np.random.default_rng(seed))
        atoms = learn_dictionary(x, weights, start, 0.1)
        found.append(atoms[np.argsort(-atoms[:, 0])])
    for atoms in found[1:]:
        np.testing.assert_allclose(atoms, found[0], atol=1e-4)


def test_learning_lowers_the_objective_and_stays_feasible() -> None:
    x, _ = mixed(1)
    start = random_atoms(np.random.default_rng(3))
    atoms = learn_dictionary(x, np.ones(len(x)), start, 0.1)
    assert (atoms >= 0).all()
    assert (np.linalg.norm(atoms, axis=1) <= 1 + 1e-9).all()
    before = objective(x, start, sparse_codes(x, start, 0.1), 0.1).mean()
    assert objective(x, atoms, sparse_codes(x, atoms, 0.1), 0.1).mean() < before


def test_weights_count_points() -> None:
    x, start = mixed(2)
    twice = learn_dictionary(np.concatenate([x, x[:1000]]), np.ones(5000), start, 0.1)
    weights = np.ones(4000)
    weights[:1000] = 2
    np.testing.assert_allclose(learn_dictionary(x, weights, start, 0.1), twice, atol=1e-6)


def test_binning_keeps_sums() -> None:
    x, _ = mixed(3)
    means, counts = binned(x)
    assert counts.sum() == len(x)
    np.testing.assert_allclose((means * counts[:, None]).sum(0), x.sum(0))
    assert len(means) < len(x)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_one_point_repeated(value: float) -> None:
    means, counts = binned(np.full((7, 3), value))
    assert counts.tolist() == [7.0]
    np.testing.assert_allclose(means, [[value] * 3])
