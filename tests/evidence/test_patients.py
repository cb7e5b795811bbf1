import numpy as np
import pytest

from hccfeat.evidence.patients import (
    ARMS,
    EXPLORATORY,
    arm_labels,
    image_features,
    image_signal,
    permuted,
    untreated,
)
from hccfeat.evidence.settings import identity, load_settings, simulation
from hccfeat.simulation.cohort import simulate_patients
from hccfeat.training.labels import denoised_subset

SIGNAL = simulation(1, 0.0, 0.0).signal


def test_settings_are_paired_and_only_the_untreated_take_part() -> None:
    people, cohort = untreated(300, 5, pi=0.0, gamma=0.0, horizon=12.0)
    other, _ = untreated(300, 5, pi=0.6, gamma=1.0, horizon=12.0)
    np.testing.assert_array_equal(people.aggressiveness, other.aggressiveness)
    assert (people.os_months != other.os_months).any()
    assert not cohort.treated[people.row].any()
    assert len(people) == 300
    np.testing.assert_array_equal(people.aggressiveness, cohort.aggressiveness[people.row])


def test_simulated_cohorts_are_those_of_the_simulation_file() -> None:
    parameters = simulation(70, 0.2, 1.0, -0.7)
    assert (parameters.outcomes.pi, parameters.outcomes.gamma, parameters.outcomes.b_az) == (0.2, 1.0, -0.7)
    assert len(simulate_patients(parameters, 1)) == 70


def test_early_labels() -> None:
    people, _ = untreated(400, 6, pi=0.4, gamma=1.0, horizon=12.0)
    recurred = people.recurrence_event & (people.recurrence_months <= 12)
    np.testing.assert_array_equal(people.early == 1, recurred)
    np.testing.assert_array_equal(people.early == 0, ~recurred & (people.recurrence_months >= 12))


def test_permuted_outcomes_stay_together_and_leave_their_patients() -> None:
    people, _ = untreated(2000, 7, pi=0.0, gamma=1.0, horizon=12.0)
    moved = permuted(people, 7)

    def rows(p: object) -> list[tuple[float, ...]]:
        names = ("recurrence_months", "recurrence_event", "os_months", "os_event")
        return sorted(zip(*(getattr(p, name).tolist() for name in names), strict=True))

    assert rows(people) == rows(moved)
    np.testing.assert_array_equal(people.aggressiveness, moved.aggressiveness)
    before, after = (abs(np.corrcoef(p.aggressiveness, p.recurrence_event)[0, 1]) for p in (people, moved))
    assert before > 0.2
    assert after < 0.08
    shown = ~np.isnan(moved.early)
    np.testing.assert_array_equal(
        moved.early[shown] == 1, (moved.recurrence_event & (moved.recurrence_months <= 12))[shown]
    )


def test_features_follow_the_signal_with_their_signs() -> None:
    a = np.random.default_rng(1).standard_normal(4000)
    signals = image_signal(a, SIGNAL, 2, 1)
    assert signals.shape == (4000, 2)
    expected = np.sqrt(SIGNAL.patient_noise**2 + SIGNAL.image_noise**2)
    assert (signals - a[:, None]).std() == pytest.approx(expected, rel=0.05)
    features = image_features(signals, SIGNAL, 10, 1)
    correlations = np.corrcoef(np.column_stack([a, features]).T)[0, 1:]
    assert (correlations[:3] > 0.8).all()
    assert correlations[3] < -0.8
    assert np.abs(correlations[4:]).max() < 0.06


def test_the_arms() -> None:
    train = untreated(230, 8, pi=0.4, gamma=1.0, horizon=12.0)[0]
    arms = arm_labels(train, "1/2", 8)
    assert set(arms) == {*ARMS, *EXPLORATORY}
    names = [f"{number:06d}" for number in range(230)]
    subset = denoised_subset(names, train.recurrence_event, train.os_months, "1/2")
    assert [names[row] for row in arms["drl"].rows] == list(subset.ids)
    for arm in ("drl", "all", "random", "cox"):
        np.testing.assert_array_equal(arms[arm].y == 1, train.recurrence_event[arms[arm].rows])
    assert len(set(arms["random"].rows)) == len(arms["drl"].rows)
    assert arms["random"].y.sum() == arms["drl"].y.sum()
    assert set(arms["random"].rows) != set(arms["drl"].rows)
    assert abs(arms["os_split"].y.mean() - 0.5) < 0.01
    short = train.os_months[arms["os_split"].y == 1]
    assert short.max() <= np.median(train.os_months)
    np.testing.assert_array_equal(arms["cox"].months, train.recurrence_months)
    assert len(arms["all"].rows) == len(arms["cox"].rows) == 230
    two = arms["two_years"]
    known = train.recurrence_event | (train.recurrence_months >= 24)
    assert known[two.rows].all()
    np.testing.assert_array_equal(
        two.y == 1, train.recurrence_event[two.rows] & (train.recurrence_months[two.rows] <= 24)
    )
    # a death after recurrence does not end PFS, one before does
    ended = train.recurrence_event | ((train.recurrence_months == train.os_months) & train.os_event)
    np.testing.assert_array_equal(arms["cox_any"].y == 1, ended)


def test_the_identity_holds_what_decides_a_replicate() -> None:
    settings = load_settings()
    assert identity(settings, c=0.1) != identity(settings, c=0.2)
    assert identity(settings, c=0.1) != identity(settings.model_copy(update={"version": 99}), c=0.1)
