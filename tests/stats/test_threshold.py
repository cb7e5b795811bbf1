import numpy as np
import pytest

from hccfeat.stats.threshold import Confusion, confusion, f1_of, rates, threshold_metrics, weighted_f1, wilson

# The confusion matrices behind P1's Table 3 (57 untreated test patients), with accuracy,
# precision, recall and F1 as printed.
TABLE_3 = [
    ((12, 7, 10, 28), (0.702, 0.632, 0.545, 0.585)),
    ((11, 9, 11, 26), (0.649, 0.550, 0.500, 0.524)),
    ((14, 8, 10, 25), (0.684, 0.636, 0.583, 0.609)),
    ((13, 7, 11, 26), (0.684, 0.65, 0.542, 0.591)),
    ((21, 11, 7, 18), (0.684, 0.656, 0.750, 0.700)),
    ((15, 8, 13, 21), (0.632, 0.652, 0.536, 0.588)),
]


def patients(counts: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and risks of patients who give these counts at 0.5; one positive lies exactly on the threshold."""
    y = np.repeat([1, 0, 1, 0], counts)
    risk = np.repeat([0.9, 0.7, 0.4, 0.1], counts)
    risk[0] = 0.5
    return y, risk


@pytest.mark.parametrize(("counts", "printed"), TABLE_3)
def test_table_3(counts: tuple[int, int, int, int], printed: tuple[float, ...]) -> None:
    y, risk = patients(counts)
    assert confusion(y, risk, 0.5) == Confusion(*counts)
    found = threshold_metrics(y, risk, 0.5, resamples=100, seed=1)
    values = [found[name].value for name in ("accuracy", "precision", "recall", "f1")]
    assert [round(value, 3) for value in values] == [round(value, 3) for value in printed]
    assert {found[name].n for name in found} == {57}
    for estimate in found.values():
        assert estimate.lower < estimate.value < estimate.upper
        assert estimate.events == counts[0] + counts[2]
        assert "risk >= 0.5" in estimate.method


def test_wilson_by_hand() -> None:
    # 8 of 10: centre (p + z^2/2n) / (1 + z^2/n), with z = 1.96.
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0


def test_rates_without_a_denominator_say_why() -> None:
    found = rates(Confusion(0, 0, 0, 5), "risk >= 0.5")
    assert found["accuracy"].value == 1.0
    assert found["precision"].value is None
    assert "called positive" in found["precision"].method
    assert found["recall"].value is None
    assert "has the event" in found["recall"].method
    assert f1_of(Confusion(0, 0, 0, 5)) is None


def test_f1_without_events_or_calls_has_no_number() -> None:
    found = threshold_metrics([0, 0, 0], [0.1, 0.2, 0.3], 0.5, resamples=100, seed=1)["f1"]
    assert found.value is None
    assert "F1" in found.method


def test_weighted_f1_equals_that_of_repeated_rows() -> None:
    y, risk = patients((3, 2, 4, 5))
    weights = np.arange(14) % 3
    rows = np.repeat(np.arange(14), weights)
    expected = f1_of(confusion(y[rows], risk[rows], 0.5))
    assert weighted_f1(y, risk, 0.5)(weights[None].astype(float))[0] == pytest.approx(expected)
