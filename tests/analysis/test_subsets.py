import numpy as np
import pytest
from scipy.stats import norm

from hccfeat.analysis.judges import NOT_RUN
from hccfeat.analysis.selection import external_choice, inner_choice, shares
from hccfeat.analysis.subset_counts import part_counts, subset_counts
from hccfeat.analysis.subsets import (
    cross_validated,
    difference_between,
    equal_size,
    final_score,
    mean_over_subsets,
)
from hccfeat.extraction.cells import CellSpec
from hccfeat.training.labels import SUBSETS
from tests.analysis.subset_study import candidates, make_bench

BEST = {"1/4": 0.2, "1/3": 0.4, "1/2": 2.5, "2/3": 0.8, "3/4": 0.6, "1/1": 0.5}


def test_cross_validation_finds_the_true_auroc_at_patch_level() -> None:
    found = cross_validated(make_bench(n=600, folds=3), "cnn_sasm", "1/1", "patch")
    truth = norm.cdf(1.5 / np.sqrt(2 * (0.5**2 + 0.8**2)))
    assert found.value == pytest.approx(truth, abs=0.03)
    assert found.estimate.lower < truth < found.estimate.upper
    assert len(found.folds) == 3
    assert found.estimate.n == 480
    image = cross_validated(make_bench(n=600, folds=3), "cnn_sasm", "1/1", "image")
    assert image.value > found.value


def test_a_table_row_carries_what_the_catalog_needs() -> None:
    row = cross_validated(make_bench(), "cnn_sasm", "1/2", "patch", "accuracy").row()
    assert (row["endpoint"], row["cohort"], row["split"]) == ("recurrence", "internal", "cross_validation")
    assert row["metric"] == "accuracy (patches)"
    assert row["model"] == "cnn_sasm, trained on 1/2"
    assert 0 < row["estimate"] < 1
    missing = cross_validated(make_bench(subsets=("1/2",)), "cnn_sasm", "1/1", "patch").row()
    assert missing["estimate"] is None
    assert missing["method"].startswith(NOT_RUN)
    outside = final_score(make_bench(), "cnn_sasm", "1/2", "strict", "image").row()
    assert (outside["cohort"], outside["split"], outside["n"], outside["events"]) == ("external", "external", 8, 4)


def test_final_encoders_judge_only_their_groups() -> None:
    bench = make_bench()
    for group, count in (("held_out", 14), ("external", 22), ("strict", 8)):
        found = final_score(bench, "cnn_sasm", "1/2", group, "patient").estimate
        assert found.n == count
    own = final_score(bench, "cnn_sasm", "1/4", "test", "patient").estimate
    assert own.n == len(bench.judges.protocol.patients("test") & bench.judges.protocol.member_of["1/4"])


def test_the_mean_over_subsets_needs_them_all() -> None:
    bench = make_bench(lambda model, subset: BEST[subset])
    found = mean_over_subsets(bench, "cnn_sasm", "patch")
    single = [cross_validated(bench, "cnn_sasm", subset, "patch").value for subset in SUBSETS]
    assert found.value == pytest.approx(np.mean(single))
    assert found.estimate.lower < found.value < found.estimate.upper
    assert mean_over_subsets(make_bench(subsets=("1/2", "1/1")), "cnn_sasm", "patch").reason == NOT_RUN


def test_ablation_differences_are_paired_and_have_the_right_sign() -> None:
    strength = {"cnn_sasm": 2.5, "cnn_ssa": 0.0}
    bench = make_bench(lambda model, subset: strength[model], models=("cnn_sasm", "cnn_ssa"))
    found = difference_between(bench, "cnn_sasm", "cnn_ssa", "1/1", "patch").estimate
    assert 0 < found.lower < found.value < found.upper
    opposite = difference_between(bench, "cnn_ssa", "cnn_sasm", "1/1", "patch").estimate
    assert opposite.value == pytest.approx(-found.value)
    assert opposite.lower == pytest.approx(-found.upper)
    assert difference_between(bench, "cnn_sasm", "cnn_csa", "1/1", "patch").reason == NOT_RUN
    one_fold = make_bench(models=("cnn_sasm", "cnn_ssa"), failed=[CellSpec("cnn_ssa", "1/1", "fold2")])
    assert len(difference_between(one_fold, "cnn_sasm", "cnn_ssa", "1/1", "image").folds) == 1


def test_equal_size_judges_as_many_images_as_the_smallest_subset() -> None:
    bench = make_bench(n=120)
    small = equal_size(bench, "cnn_sasm", "1/4")
    large = equal_size(bench, "cnn_sasm", "1/1")
    assert large.images == small.images
    assert large.n > small.n
    assert small.lower == pytest.approx(small.upper)  # nothing to draw: every image is taken
    assert small.mean == pytest.approx(cross_validated(bench, "cnn_sasm", "1/4", "patch").value)
    assert large.lower < large.mean < large.upper
    assert large.mean == pytest.approx(cross_validated(bench, "cnn_sasm", "1/1", "patch").value, abs=0.05)
    assert large == equal_size(bench, "cnn_sasm", "1/1")
    assert equal_size(make_bench(subsets=("1/2",)), "cnn_sasm", "1/1").reason == NOT_RUN


def test_both_rules_pick_the_subset_that_is_best_and_say_how_sure() -> None:
    bench = make_bench(lambda model, subset: BEST[subset], n=200)
    for choice in (inner_choice(bench, "cnn_sasm", "patient"), external_choice(bench, "cnn_sasm", "patch")):
        assert choice.chosen == "1/2"
        share = {candidate.subset: candidate.share for candidate in choice.candidates}
        assert sum(share.values()) == pytest.approx(1)
        assert share["1/2"] > 0.8
        counts = {(c.scored.estimate.n, c.scored.estimate.events) for c in choice.candidates}
        assert len(counts) == 1  # the same judges for every candidate
        assert all(c.scored.estimate.standard_error > 0 for c in choice.candidates)
    assert inner_choice(bench, "cnn_sasm", "image").candidates[0].scored.estimate.n == 160


def test_a_tie_goes_to_the_larger_subset_and_one_candidate_is_no_choice() -> None:
    assert inner_choice(make_bench(), "cnn_sasm", "patient").chosen == "1/1"
    alone = inner_choice(make_bench(subsets=("1/2",)), "cnn_sasm", "patient")
    assert alone.chosen is None
    assert "nothing to choose" in alone.reason
    nothing = external_choice(make_bench(finals=()), "cnn_sasm", "patch")
    assert (nothing.chosen, nothing.candidates) == (None, ())


def test_shares_split_ties_and_skip_resamples_without_a_value() -> None:
    found, used = shares([np.array([0.5, 0.9, np.nan, 0.7]), np.array([0.5, 0.1, 0.9, 0.8])])
    assert found == pytest.approx([0.5, 0.5])
    assert used == 3
    assert shares([np.array([np.nan]), np.array([1.0])]) == ([None, None], 0)


def test_subset_counts_are_nested_and_the_readings_differ_only_in_whom_they_keep() -> None:
    protocol = candidates(3, 80, 2)
    found = subset_counts(protocol, deaths_only=False)
    assert [one.used.relapsed.kept for one in found] == [8, 11, 16, 22, 24, 32]
    assert [one.used.relapse_free.kept for one in found] == [12, 16, 24, 32, 36, 48]
    limits = [one.used.relapsed.threshold_months for one in found]
    assert limits == sorted(limits)
    for one in found:
        assert one.other.relapsed.kept == one.used.relapsed.kept
        assert one.other.relapsed.censored <= one.used.relapsed.censored
        assert frozenset(one.used.ids) == protocol.member_of[one.subset]
        assert one.both <= one.used.relapsed.kept
    assert found[-1].both == 32
    assert subset_counts(protocol, deaths_only=True)[0].used == found[0].other


def test_part_counts_add_up() -> None:
    protocol = candidates(3, 80, 3)
    images = dict.fromkeys(protocol.ids[1:], (2, 10))
    counts = part_counts(protocol, images)
    for subset in SUBSETS:
        mine = [one for one in counts if one.subset == subset]
        whole, parts = mine[0], mine[1:]
        assert whole.part == "all"
        for name in ("relapse_free", "relapsed", "images", "patches", "patients"):
            assert getattr(whole, name) == sum(getattr(part, name) for part in parts)
    assert next(one for one in counts if one.subset == "1/1").images == 2 * 79
