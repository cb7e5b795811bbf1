import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, roc_auc_score

from hccfeat.errors import AnalysisError
from hccfeat.stats.multiclass import (
    confusion,
    plain_value,
    weighted_accuracy,
    weighted_macro_f1,
    weighted_ovo_auc,
    weighted_ovr_auc,
)

# Six patients by hand: predicted classes 0, 1, 1, 1, 2, 0.
LABELS = np.array([0, 0, 1, 1, 2, 2])
PROBABILITIES = np.array(
    [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.5, 0.2], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6], [0.5, 0.3, 0.2]]
)


def drawn(seed: int, n: int = 60, decimals: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels of three classes and probabilities with many ties."""
    generator = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1, 2], generator.integers(0, 3, n - 3)])
    p = np.round(generator.dirichlet(np.ones(3), n) + np.eye(3)[labels] * 0.3, decimals) + 0.01
    return labels, p / p.sum(axis=1, keepdims=True)


def test_by_hand() -> None:
    n = len(LABELS)
    assert confusion(LABELS, PROBABILITIES).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert plain_value(weighted_accuracy(LABELS, PROBABILITIES), n) == pytest.approx(4 / 6)
    # F1: class 0 2/(2+1+1), class 1 4/(4+1), class 2 2/(2+0+1)
    assert plain_value(weighted_macro_f1(LABELS, PROBABILITIES), n) == pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3)
    # pairs by their first and second column: 0/1 (3/4, 3.5/4), 0/2 (2.5/4, 3/4), 1/2 (4/4, 2.5/4)
    expected = ((0.75 + 0.875) / 2 + (0.625 + 0.75) / 2 + (1.0 + 0.625) / 2) / 3
    assert plain_value(weighted_ovo_auc(LABELS, PROBABILITIES), n) == pytest.approx(expected)
    # class 1 by its column: 0.5 and 0.6 against 0.3, 0.5, 0.2, 0.3
    assert plain_value(weighted_ovr_auc(LABELS, PROBABILITIES, 1), n) == pytest.approx((3.5 + 4) / 8)


@given(st.integers(0, 10_000), st.integers(6, 80), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_equal_to_scikit_learn_ties_included(seed: int, n: int, decimals: int) -> None:
    y, p = drawn(seed, n, decimals)
    ours = plain_value(weighted_ovo_auc(y, p), n)
    assert ours == pytest.approx(roc_auc_score(y, p, multi_class="ovo", average="macro"), abs=1e-12)
    called = p.argmax(axis=1)
    assert plain_value(weighted_macro_f1(y, p), n) == pytest.approx(f1_score(y, called, average="macro"), abs=1e-12)
    assert plain_value(weighted_accuracy(y, p), n) == pytest.approx(accuracy_score(y, called))
    assert confusion(y, p).tolist() == confusion_matrix(y, called, labels=[0, 1, 2]).tolist()
    for k in range(3):
        ranks = rankdata(p[:, k])
        cases = int((y == k).sum())
        assume(cases < n)
        auc = (ranks[y == k].sum() - cases * (cases + 1) / 2) / (cases * (n - cases))
        assert plain_value(weighted_ovr_auc(y, p, k), n) == pytest.approx(auc, abs=1e-12)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_weight_is_a_copy_of_the_patient(seed: int) -> None:
    y, p = drawn(seed, 20)
    weights = np.random.default_rng(seed).integers(0, 4, 20)
    weights[:3] = 1
    rows = np.repeat(np.arange(20), weights)
    for make in (weighted_accuracy, weighted_macro_f1, weighted_ovo_auc):
        copied = plain_value(make(y[rows], p[rows]), len(rows))
        assert make(y, p)(weights[None].astype(float))[0] == pytest.approx(copied)


def test_only_the_order_of_the_probabilities_matters_to_the_auc() -> None:
    y, p = drawn(3)
    assert plain_value(weighted_ovo_auc(y, p), 60) == plain_value(weighted_ovo_auc(y, np.log(p)), 60)


def test_a_missing_class_has_no_auc_and_no_f1() -> None:
    y, p = np.array([0, 0, 1]), PROBABILITIES[:3]
    assert plain_value(weighted_ovo_auc(y, p), 3) is None
    assert plain_value(weighted_macro_f1(y, p), 3) is None
    assert plain_value(weighted_ovr_auc(y, p, 2), 3) is None
    assert plain_value(weighted_accuracy(y, p), 3) == pytest.approx(2 / 3)


def test_thousands_of_resamples_take_a_moment() -> None:
    y, p = drawn(1, 270, 6)
    weights = np.random.default_rng(1).multinomial(270, np.full(270, 1 / 270), size=2000).astype(float)
    start = time.perf_counter()
    values = weighted_ovo_auc(y, p)(weights)
    assert time.perf_counter() - start < 5
    assert values.shape == (2000,)
    assert values.std() < 0.1


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        ([0, 1, 3], PROBABILITIES[:3]),
        ([0, 1, np.nan], PROBABILITIES[:3]),
        ([0, 1], PROBABILITIES[:3]),
        ([0, 1, 2], PROBABILITIES[:3] * np.nan),
        ([0, 1, 2], PROBABILITIES[:3, 0]),
        ([-1, 1, 2], PROBABILITIES[:3]),
    ],
)
def test_malformed_input_is_refused(labels: list[float], probabilities: np.ndarray) -> None:
    with pytest.raises(AnalysisError):
        weighted_ovo_auc(labels, probabilities)
