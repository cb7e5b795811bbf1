"""One draw, and every nested subset has its fair share of each part."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hccfeat.errors import AnalysisError, ConfigError, InputError
from hccfeat.training.labels import SUBSETS, denoised_subset
from hccfeat.training.protocol import TEST, Protocol, subset_protocol


def cohort(n: int, seed: int, prevalence: float = 0.4) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    relapsed = np.arange(n) < round(prevalence * n)
    generator.shuffle(relapsed)
    # whole months, so that there are ties
    return [f"P{k:04d}" for k in range(n)], relapsed, generator.integers(1, 80, n) * 1.0, generator.random(n) < 0.5


def draw(n: int, patients: int, **changes: object) -> Protocol:
    chosen = {"folds": 5, "test_fraction": 0.1, "seed": 2023} | changes
    return subset_protocol(*cohort(n, patients), **chosen)  # type: ignore[arg-type]


def same(a: Protocol, b: Protocol) -> bool:
    return (a.ids, a.part, a.member_of) == (b.ids, b.part, b.member_of)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(30, 300),
    seed=st.integers(0, 1000),
    prevalence=st.floats(0.25, 0.75),
    folds=st.integers(2, 6),
    share=st.floats(0.05, 0.3),
)
def test_every_subset_has_its_share_of_each_part(
    n: int, seed: int, prevalence: float, folds: int, share: float
) -> None:
    ids, relapsed, months, died = cohort(n, seed, prevalence)
    protocol = subset_protocol(ids, relapsed, months, died, folds=folds, test_fraction=share, seed=seed)
    assert protocol.folds == tuple(f"fold{k + 1}" for k in range(folds))
    assert set(protocol.part) == {TEST, *protocol.folds}
    sick = {patient for patient, status in zip(protocol.ids, protocol.relapsed, strict=True) if status}
    for members in protocol.member_of.values():
        sizes = []
        for fold in protocol.folds:
            inside = protocol.patients(fold) & members
            sizes.append(len(inside))
        assert max(sizes) - min(sizes) <= 1
        for group in (members & sick, members - sick):
            held_out = len(protocol.patients(TEST) & group)
            assert abs(held_out - share * len(group)) < 2
            per_fold = [len(protocol.patients(fold) & group) for fold in protocol.folds]
            assert max(per_fold) - min(per_fold) <= 1


@settings(max_examples=40, deadline=None)
@given(n=st.integers(20, 120), seed=st.integers(0, 1000), deaths_only=st.booleans())
def test_subsets_are_the_papers_and_nested(n: int, seed: int, deaths_only: bool) -> None:
    ids, relapsed, months, died = cohort(n, seed)
    protocol = subset_protocol(
        ids, relapsed, months, died, folds=2, test_fraction=0.1, seed=1, deaths_only=deaths_only
    )
    before: frozenset[str] = frozenset()
    for name in SUBSETS:
        expected = denoised_subset(ids, relapsed, months, name, deaths=died, deaths_only=deaths_only)
        assert protocol.member_of[name] == set(expected.ids)
        assert before <= protocol.member_of[name]
        before = protocol.member_of[name]
    assert before == set(ids)


def test_parts_are_disjoint_and_complete() -> None:
    protocol = draw(230, 1)
    parts = [protocol.patients(part) for part in (TEST, *protocol.folds)]
    assert sum(len(part) for part in parts) == 230
    assert frozenset().union(*parts) == set(protocol.ids)
    assert len(protocol.patients(TEST)) == 23


def test_nobody_trains_where_they_judge() -> None:
    protocol = draw(60, 2)
    held_out = protocol.patients(TEST)
    for fold in protocol.folds:
        assert protocol.training(fold) == set(protocol.ids) - held_out - protocol.patients(fold)
    assert protocol.training("final") == set(protocol.ids) - held_out
    assert protocol.training("whole") == set(protocol.ids)
    with pytest.raises(ConfigError, match="fold6"):
        protocol.training("fold6")
    with pytest.raises(ConfigError, match="test"):
        protocol.training("test")


def test_equal_seeds_give_equal_draws_and_other_seeds_others() -> None:
    assert same(draw(80, 3), draw(80, 3))
    assert draw(80, 3).part != draw(80, 3, seed=2024).part


@given(seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_patients_does_not_matter(seed: int) -> None:
    ids, relapsed, months, died = cohort(50, seed)
    mixed = np.random.default_rng(seed + 1).permutation(50)
    a = subset_protocol(ids, relapsed, months, died, folds=3, test_fraction=0.2, seed=7)
    b = subset_protocol(
        [ids[k] for k in mixed], relapsed[mixed], months[mixed], died[mixed], folds=3, test_fraction=0.2, seed=7
    )
    assert same(a, b)
    assert (a.relapsed == b.relapsed).all()
    assert (a.os_months == b.os_months).all()
    assert (a.died == b.died).all()


def test_each_patient_may_fall_into_each_part() -> None:
    """Over many seeds every patient judges about as often as any other, in the test part and in each fold."""
    seeds = 400
    drawn = [draw(40, 5, folds=2, test_fraction=0.25, seed=seed).part for seed in range(seeds)]
    for part, share in ((TEST, 0.25), ("fold1", 0.375), ("fold2", 0.375)):
        often = np.sum([[mine == part for mine in parts] for parts in drawn], axis=0)
        assert np.abs(often - share * seeds).max() < 5 * np.sqrt(seeds * share * (1 - share))


@pytest.mark.parametrize(("relapsed", "name"), [(2, "relapsed"), (18, "relapse-free")])
def test_a_class_that_is_too_small_is_an_error(relapsed: int, name: str) -> None:
    status = np.arange(20) < relapsed
    with pytest.raises(AnalysisError, match=f"has 2 {name} candidates, too few"):
        subset_protocol(
            [f"P{k}" for k in range(20)],
            status,
            np.arange(20.0),
            status,
            folds=2,
            test_fraction=0.1,
            seed=1,
        )


def test_the_smallest_cohort_that_fits() -> None:
    status = np.arange(6) < 3
    protocol = subset_protocol(list("abcdef"), status, np.arange(6.0), status, folds=2, test_fraction=0.1, seed=1)
    assert sorted(protocol.part) == ["fold1", "fold1", "fold2", "fold2", TEST, TEST]


def test_wrong_settings_and_inputs_are_named() -> None:
    with pytest.raises(ConfigError, match="folds"):
        draw(40, 1, folds=1)
    with pytest.raises(ConfigError, match="test_fraction"):
        draw(40, 1, test_fraction=1.0)
    ids, relapsed, months, died = cohort(40, 1)
    with pytest.raises(InputError, match="twice"):
        subset_protocol([ids[1], *ids[1:]], relapsed, months, died, folds=2, test_fraction=0.1, seed=1)
