import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from hccfeat.errors import AnalysisError
from hccfeat.stats.discrimination import (
    auroc,
    average_precision,
    bootstrap_auroc,
    delong_components,
    roc_points,
    weighted_auroc,
    weighted_average_precision,
)


def pairwise_delong(y: np.ndarray, risk: np.ndarray) -> tuple[float, float]:
    """DeLong's AUROC and variance from every pair of patients: the definition, O(mn)."""
    cases, controls = risk[y == 1], risk[y == 0]
    kernel = (cases[:, None] > controls) + 0.5 * (cases[:, None] == controls)
    of_cases, of_controls = kernel.mean(axis=1), kernel.mean(axis=0)
    variance = of_cases.var(ddof=1) / len(cases) + of_controls.var(ddof=1) / len(controls)
    return kernel.mean(), variance


@st.composite
def labelled_risks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(4, 40))
    y = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    y[:4] = (0, 0, 1, 1)
    risk = np.array(draw(st.lists(st.integers(0, 6), min_size=n, max_size=n))) / 6
    return y, risk


@settings(max_examples=60, deadline=None)
@given(labelled_risks())
def test_midranks_give_the_pairwise_definition_with_ties(case: tuple[np.ndarray, np.ndarray]) -> None:
    y, risk = case
    value, variance = pairwise_delong(y, risk)
    found = auroc(y, risk)
    assert found.value == pytest.approx(value, abs=1e-12)
    of_cases, of_controls = delong_components(y.astype(bool), risk)
    own = of_cases.var(ddof=1) / len(of_cases) + of_controls.var(ddof=1) / len(of_controls)
    assert own == pytest.approx(variance, abs=1e-12)
    if variance > 1e-12:
        assert found.lower == pytest.approx(max(0.0, value - 1.959963985 * np.sqrt(variance)), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(labelled_risks())
def test_turning_the_risk_round_turns_the_auroc_round(case: tuple[np.ndarray, np.ndarray]) -> None:
    y, risk = case
    assert auroc(y, risk).value == pytest.approx(1 - auroc(y, -risk).value, abs=1e-12)
    assert auroc(y, risk).value == pytest.approx(roc_auc_score(y, risk), abs=1e-12)


def test_delong_does_not_overflow_and_stays_within_bounds_on_many_patients() -> None:
    generator = np.random.default_rng(0)
    y = generator.random(50_000) < 0.5
    found = auroc(y, np.round(y + generator.normal(size=50_000), 1))
    assert 0.0 <= found.lower < found.value < found.upper <= 1.0
    assert found.upper - found.lower < 0.01


@pytest.mark.parametrize(
    ("y", "risk", "words"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], "variance is zero"),
        ([0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5], "variance is zero"),
        ([0, 0, 0, 1], [0.1, 0.6, 0.3, 0.5], "single patient"),
    ],
)
def test_no_interval_is_made_up(y: list[int], risk: list[float], words: str) -> None:
    found = auroc(y, risk)
    assert found.value is not None
    assert found.lower is None
    assert found.upper is None
    assert words in found.method


@pytest.mark.parametrize(
    ("y", "words"), [([], "no patients"), ([0, 0], "no patient has"), ([1, 1], "every patient")]
)
def test_one_class_gives_no_number_but_a_reason(y: list[int], words: str) -> None:
    risk = np.linspace(0, 1, len(y))
    for found in (auroc(y, risk), average_precision(y, risk, resamples=100, seed=1)):
        assert (found.value, found.lower, found.upper) == (None, None, None)
        assert words in found.method
        assert found.n == len(y)


@pytest.mark.parametrize(
    ("y", "risk"),
    [([0, 1, 2], [0, 1, 2]), ([0, 1], [0.5, np.nan]), ([0, 1], [0.5, np.inf]), ([0, 1, 1], [0.1, 0.2])],
)
def test_malformed_input_is_refused(y: list[float], risk: list[float]) -> None:
    with pytest.raises(AnalysisError):
        auroc(y, risk)


@settings(max_examples=40, deadline=None)
@given(labelled_risks(), st.integers(0, 100))
def test_weighted_average_precision_equals_that_of_repeated_rows(
    case: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    y, risk = case
    weights = np.random.default_rng(seed).integers(0, 4, size=len(y))
    weights[2] = 1
    rows = np.repeat(np.arange(len(y)), weights)
    expected = average_precision_score(y[rows], risk[rows])
    assert weighted_average_precision(y, risk)(weights[None].astype(float))[0] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(labelled_risks(), st.integers(0, 100))
def test_weighted_auroc_equals_that_of_repeated_rows(case: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    y, risk = case
    weights = np.random.default_rng(seed).integers(0, 4, size=len(y))
    weights[[0, 2]] = 1
    rows = np.repeat(np.arange(len(y)), weights)
    expected = roc_auc_score(y[rows], risk[rows])
    assert weighted_auroc(y, risk)(weights[None].astype(float))[0] == pytest.approx(expected, abs=1e-12)


def test_the_bootstrap_interval_of_the_auroc_is_about_delongs() -> None:
    generator = np.random.default_rng(9)
    y = np.repeat([0, 1], [90, 60])
    risk = generator.normal(size=150) + 0.8 * y
    delong, resampled = auroc(y, risk), bootstrap_auroc(y, risk, resamples=2000, seed=1)
    assert resampled.value == pytest.approx(delong.value, abs=1e-12)
    assert resampled.upper - resampled.lower == pytest.approx(delong.upper - delong.lower, rel=0.1)
    assert bootstrap_auroc([0, 0], [1, 2], resamples=100, seed=1).value is None


def test_average_precision_names_the_prevalence_and_is_repeatable() -> None:
    generator = np.random.default_rng(3)
    y = np.repeat([0, 1], [60, 40])
    risk = generator.normal(size=100) + y
    first = average_precision(y, risk, resamples=200, seed=5)
    assert first == average_precision(y, risk, resamples=200, seed=5)
    assert first != average_precision(y, risk, resamples=200, seed=6)
    assert "prevalence 0.400" in first.method
    assert first.lower < first.value < first.upper


def test_roc_runs_from_corner_to_corner_and_holds_the_auroc() -> None:
    y = np.array([0, 1, 0, 1, 1, 0, 0, 1])
    risk = np.array([0.1, 0.4, 0.4, 0.8, 0.7, 0.2, 0.6, 0.6])
    x, tpr = roc_points(y, risk)
    assert (x[0], tpr[0], x[-1], tpr[-1]) == (0, 0, 1, 1)
    assert all(a <= b for a, b in itertools.pairwise(x))
    assert np.trapezoid(tpr, x) == pytest.approx(auroc(y, risk).value)


@pytest.mark.real_data
@pytest.mark.parametrize("column", ["Tumorsize", "Vascularinvasion"])
def test_delong_equals_proc_on_tied_indicators(real_data: Path, reference: Path, column: str) -> None:
    import polars as pl

    frame = pl.read_csv(real_data / "hcc_li2014" / "hepatoCellular.csv")
    expected = json.loads((reference / "r_reference.json").read_text())["roc_12m"]
    y = (frame["RFS"] <= 12) & (frame["Recurrence"] == 1)
    found = auroc(y.cast(int).to_numpy(), frame[column].to_numpy())
    assert [found.lower, found.value, found.upper] == pytest.approx(
        expected[f"auc_{column.lower()}_ci_delong"], rel=1e-6
    )
