import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hccfeat.errors import AnalysisError
from hccfeat.stats.estimate import Z
from hccfeat.stats.survival import kaplan_meier
from hccfeat.stats.survival_difference import survival_difference


def test_without_censoring_it_is_the_difference_of_two_shares() -> None:
    time = np.array([3, 5, 20, 30, 4, 15, 30, 40.0])
    found = survival_difference(time, np.ones(8), [0, 0, 0, 0, 1, 1, 1, 1], 12)
    assert found.survival == pytest.approx((0.5, 0.75))
    assert found.value == pytest.approx(0.25)
    error = np.sqrt(0.5 * 0.5 / 4 + 0.75 * 0.25 / 4)
    assert found.upper - found.value == pytest.approx(Z * error)
    assert (found.n, found.events, found.at_risk) == ((4, 4), (2, 1), (2, 3))


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.booleans()), max_size=25))
@settings(max_examples=40, deadline=None)
def test_it_agrees_with_the_curves_or_says_why_not(rows: list[tuple[int, bool, bool]]) -> None:
    time = np.array([row[0] for row in rows], dtype=float)
    event = np.array([row[1] for row in rows], dtype=bool)
    second = np.array([row[2] for row in rows], dtype=bool)
    found = survival_difference(time, event, second, 12)
    assert (found.lower is None) == bool(found.reason)
    turned = survival_difference(time, event, ~second, 12)
    assert turned.value == (None if found.value is None else pytest.approx(-found.value))
    for share, group in zip(found.survival, (~second, second), strict=True):
        if group.any() and share is not None:
            curve = kaplan_meier(time[group], event[group], [12])
            assert share == pytest.approx(curve.survival[np.searchsorted(curve.times, 12, side="right") - 1])


@pytest.mark.parametrize(
    ("time", "event", "second", "words", "value"),
    [
        ([], [], [], "no patients", None),
        ([5, 20], [1, 0], [0, 0], "no patients", None),
        ([5, 20, 6, 7], [1, 0, 1, 0], [0, 0, 1, 1], "not followed to 12", None),
        ([5, 20, 30, 30], [1, 0, 0, 0], [0, 0, 1, 1], "no events by then", 0.5),
        ([5, 20, 6, 7], [1, 0, 1, 1], [0, 0, 1, 1], "no events by then", -0.5),
    ],
)
def test_reasons(time: list, event: list, second: list, words: str, value: float | None) -> None:
    found = survival_difference(time, event, second, 12)
    assert words in found.reason
    assert found.value == value
    assert found.lower is None


def test_the_horizon_is_after_the_start() -> None:
    with pytest.raises(AnalysisError, match="horizon"):
        survival_difference([1.0], [1], [0], 0)


@pytest.mark.real_data
@pytest.mark.parametrize("place", range(3))
def test_greenwood_equals_r(real_data: Path, reference: Path, place: int) -> None:
    r = json.loads((reference / "r_reference.json").read_text())["km"]
    frame = pl.read_csv(real_data / "hcc_li2014" / "hepatoCellular.csv")
    found = survival_difference(
        frame["RFS"], frame["Recurrence"], frame["Vascularinvasion"], float(r["times"][place])
    )
    without, with_invasion = (r["survival"][k + place] for k in (0, 3))
    error = np.hypot(r["std_err"][place], r["std_err"][3 + place])
    assert found.value == pytest.approx(with_invasion - without, rel=1e-6)
    assert found.upper - found.value == pytest.approx(Z * error, rel=1e-6)
    assert found.at_risk == (r["at_risk"][place], r["at_risk"][3 + place])
