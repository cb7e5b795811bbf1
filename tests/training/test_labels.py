"""Denoised recurrence labels (P1 readings 13 to 16)."""

from fractions import Fraction
from itertools import pairwise
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hccfeat.errors import AnalysisError, ConfigError, InputError
from hccfeat.training.labels import SUBSETS, DenoisedSubset, denoised_subset, parse_fraction

# relapse-free a..d with survival 10, 20, 30, 40; relapsed e..h with 5, 15, 25, 35
IDS = list("abcdefgh")
RELAPSED = [False] * 4 + [True] * 4
MONTHS = [10.0, 20, 30, 40, 5, 15, 25, 35]


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[list[str], list[bool], list[float], list[bool]]:
    count = draw(st.integers(2, 30))
    ids = draw(st.permutations([f"c/{number:03d}" for number in range(count)]))
    relapsed = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    relapsed[0], relapsed[1] = True, False
    # few distinct times, so that ties are common
    months = draw(st.lists(st.sampled_from([0.0, 3.5, 12.0, 24.0, 60.0]), min_size=count, max_size=count))
    deaths = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return list(ids), relapsed, months, deaths


def test_longest_of_the_relapse_free_and_shortest_of_the_relapsed() -> None:
    subset = denoised_subset(IDS, RELAPSED, MONTHS, "1/2")
    assert subset.ids == ("c", "d", "e", "f")
    assert subset.labels == {"c": 0, "d": 0, "e": 1, "f": 1}
    assert (subset.relapse_free.available, subset.relapse_free.kept) == (4, 2)
    assert (subset.relapse_free.threshold_months, subset.relapsed.threshold_months) == (30, 15)
    assert subset.censored == -1


def test_ties_are_broken_by_id_whatever_the_order_of_the_rows() -> None:
    for order in (range(8), reversed(range(8))):
        rows = list(order)
        subset = denoised_subset([IDS[i] for i in rows], [RELAPSED[i] for i in rows], [12.0] * 8, "1/4")
        assert subset.ids == ("a", "e")


@given(cohorts(), st.booleans())
def test_subsets_are_nested_and_the_whole_is_everybody(
    cohort: tuple[list[str], list[bool], list[float], list[bool]], deaths_only: bool
) -> None:
    ids, relapsed, months, deaths = cohort

    def take(fraction: str) -> DenoisedSubset:
        return denoised_subset(ids, relapsed, months, fraction, deaths=deaths, deaths_only=deaths_only)

    subsets = [take(fraction) for fraction in SUBSETS]
    for smaller, larger in pairwise(subsets):
        assert set(smaller.ids) <= set(larger.ids)
    assert subsets[-1].ids == tuple(sorted(ids))


@given(cohorts(), st.sampled_from(SUBSETS))
def test_counts_and_thresholds(
    cohort: tuple[list[str], list[bool], list[float], list[bool]], fraction: str
) -> None:
    ids, relapsed, months, deaths = cohort
    subset = denoised_subset(ids, relapsed, months, fraction, deaths=deaths)
    time = dict(zip(ids, months, strict=True))
    for label, selection in ((0, subset.relapse_free), (1, subset.relapsed)):
        group = [i for i, status in zip(ids, relapsed, strict=True) if status == bool(label)]
        kept = [i for i in subset.ids if subset.labels[i] == label]
        assert len(kept) == selection.kept == ceil(Fraction(fraction) * len(group))
        assert selection.available == len(group)
        left = [time[i] for i in group if i not in kept]
        kept_times = [time[i] for i in kept]
        if label == 0:
            assert selection.threshold_months == min(kept_times) >= max(left, default=0)
        else:
            assert selection.threshold_months == max(kept_times) <= min(left, default=np.inf)
        alive = {i for i, died in zip(ids, deaths, strict=True) if not died}
        assert selection.censored == len(alive & set(kept))


def test_a_third_of_three_is_one_and_a_tenth_of_ten_is_one() -> None:
    ids = [f"{number:02d}" for number in range(20)]
    relapsed = [True] * 10 + [False] * 10
    assert denoised_subset(ids, relapsed, range(20), 0.1).relapsed.kept == 1
    assert denoised_subset(ids[7:13], relapsed[7:13], range(6), "1/3").relapsed.kept == 1


def test_deaths_only_ranks_observed_deaths_first_and_keeps_the_count() -> None:
    deaths = [False] * 4 + [False, True, True, False]
    plain = denoised_subset(IDS, RELAPSED, MONTHS, "1/2", deaths=deaths)
    strict = denoised_subset(IDS, RELAPSED, MONTHS, "1/2", deaths=deaths, deaths_only=True)
    assert plain.ids == ("c", "d", "e", "f")
    assert plain.censored == 1
    assert strict.ids == ("c", "d", "f", "g")
    assert strict.censored == 0


@pytest.mark.parametrize("fraction", ["0", "2/1", "-1/2", "1/0", "half", "nan"])
def test_fractions_out_of_range(fraction: str) -> None:
    with pytest.raises(ConfigError, match=r"training\.subset"):
        parse_fraction(fraction)


def test_bad_input_is_refused() -> None:
    with pytest.raises(AnalysisError, match="0 of 8 training patients relapsed"):
        denoised_subset(IDS, [False] * 8, MONTHS, "1/2")
    with pytest.raises(InputError, match="a patient twice"):
        denoised_subset(["a"] * 8, RELAPSED, MONTHS, "1/2")
    with pytest.raises(InputError, match="missing overall survival"):
        denoised_subset(IDS, RELAPSED, [*MONTHS[:-1], float("nan")], "1/2")
    with pytest.raises(InputError, match="different lengths"):
        denoised_subset(IDS, RELAPSED, MONTHS[:-1], "1/2")
    with pytest.raises(ConfigError, match="needs the observed deaths"):
        denoised_subset(IDS, RELAPSED, MONTHS, "1/2", deaths_only=True)
