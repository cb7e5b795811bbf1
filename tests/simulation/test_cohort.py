import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, kstest, spearmanr

from hccfeat.simulation.cohort import Cohort, simulate_patients
from hccfeat.simulation.parameters import load_parameters

N = 40_000


@pytest.fixture(scope="module")
def large() -> Cohort:
    return simulate_patients(load_parameters("demo", {"patients": N}), 11)


def positives(cohort: Cohort) -> dict[str, np.ndarray]:
    return {
        "vascular_invasion": cohort.vascular_invasion == 1,
        "tumour_size": cohort.indicator("tumour_size", 5.0),
        "bclc": np.isin(cohort.bclc, ["B", "C"]),
        "afp": cohort.indicator("afp", 20.0),
        "age": cohort.indicator("age", 50.0),
        "sex": cohort.sex == "male",
        "hbsag": cohort.hbsag == 1,
        "alt": cohort.indicator("alt", 40.0),
    }


def test_margins_among_untreated_and_treated(large: Cohort) -> None:
    parameters = load_parameters("demo")
    assert large.treated.mean() == pytest.approx(79 / 366, abs=0.01)
    for name, positive in positives(large).items():
        untreated, treated = parameters.indicators[name].positive
        assert positive[~large.treated].mean() == pytest.approx(untreated, abs=0.015), name
        assert positive[large.treated].mean() == pytest.approx(treated, abs=0.02), name


def test_the_papers_percentages_of_confounding() -> None:
    indicators = load_parameters("demo").indicators
    assert indicators["vascular_invasion"].positive == (0.28, 0.73)
    assert indicators["tumour_size"].positive == (0.21, 0.65)
    assert indicators["bclc"].positive == (0.54, 0.92)
    assert indicators["afp"].positive == (0.63, 0.86)


def test_aggressiveness_is_standard_normal_and_drives_the_indicators(large: Cohort) -> None:
    assert kstest(large.aggressiveness, "norm").pvalue > 0.001
    parameters = load_parameters("demo")
    for name, positive in positives(large).items():
        difference = large.aggressiveness[positive].mean() - large.aggressiveness[~positive].mean()
        if abs(parameters.indicators[name].loading) >= 0.1:
            assert difference > 0.1, name


def test_treatment_is_drawn_with_the_stated_probability(large: Cohort) -> None:
    for low, high in ((0.0, 0.1), (0.1, 0.4), (0.4, 1.0)):
        inside = (large.treatment_probability >= low) & (large.treatment_probability < high)
        assert large.treated[inside].mean() == pytest.approx(large.treatment_probability[inside].mean(), abs=0.02)


def test_hazards_are_the_specified_ones(large: Cohort) -> None:
    a, z = large.aggressiveness, large.treated
    cumulative = large.recurrence_latent * 0.016 * np.exp(a - 0.7 * a * z)
    for group in (~z, z):
        own = cumulative[group & ~large.replaced]
        assert kstest(own, "expon").pvalue > 0.001
    assert kstest(large.death_latent * 0.008 * np.exp(a), "expon").pvalue > 0.001
    assert large.censoring.min() >= 24 and large.censoring.max() <= 84  # noqa: PT018
    assert large.censoring.mean() == pytest.approx(54, abs=0.5)


def test_replaced_times_keep_the_marginal_distribution_and_forget_the_patient(large: Cohort) -> None:
    assert large.replaced.mean() == pytest.approx(0.4, abs=0.01)
    replaced = large.recurrence_latent[large.replaced]
    assert ks_2samp(replaced, large.recurrence_latent[~large.replaced]).pvalue > 0.001
    assert abs(spearmanr(replaced, large.aggressiveness[large.replaced])[0]) < 0.03
    assert abs(spearmanr(replaced, large.treated[large.replaced])[0]) < 0.03


def test_gamma_zero_makes_survival_uninformative() -> None:
    cohort = simulate_patients(load_parameters("demo", {"patients": N, "gamma": 0}), 11)
    assert abs(spearmanr(cohort.death_latent, cohort.aggressiveness)[0]) < 0.02


def test_main_treatment_effect_enters_the_hazard() -> None:
    cohort = simulate_patients(load_parameters("demo", {"patients": N, "pi": 0, "b_z": -1.0, "b_az": 0}), 11)
    own = cohort.recurrence_latent * 0.016 * np.exp(cohort.aggressiveness - 1.0 * cohort.treated)
    assert kstest(own[cohort.treated], "expon").pvalue > 0.001


def test_arms_of_a_comparison_are_paired() -> None:
    one, other = (simulate_patients(load_parameters("tiny", {"pi": pi, "gamma": pi}), 3) for pi in (0.0, 0.6))
    for name in ("aggressiveness", "afp", "bclc", "treated", "censoring"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    kept = ~other.replaced
    np.testing.assert_array_equal(one.recurrence_latent[kept], other.recurrence_latent[kept])
    assert other.replaced.any()


def test_paper_preset_has_exactly_its_treated_patients() -> None:
    cohort = simulate_patients(load_parameters("paper"), 5)
    assert (len(cohort), int(cohort.treated.sum())) == (366, 79)
    assert len(set(cohort.patient_id)) == 366


def test_external_patients_are_untreated() -> None:
    cohort = simulate_patients(load_parameters("paper"), 5, "external")
    assert not cohort.treated.any()
    assert cohort.patient_id[0] == "E0001"


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31), pi=st.floats(0, 1), gamma=st.floats(-1, 2), b_az=st.floats(-1, 1),
    patients=st.integers(1, 60),
)  # fmt: skip
def test_every_cohort_is_consistent(seed: int, pi: float, gamma: float, b_az: float, patients: int) -> None:
    overrides = {"pi": pi, "gamma": gamma, "b_az": b_az, "patients": patients}
    cohort = simulate_patients(load_parameters("tiny", overrides), seed)
    assert all(len(column) == patients for column in cohort.columns().values())
    assert (cohort.recurrence_months > 0).all()
    assert (cohort.recurrence_months <= cohort.os_months).all()
    assert (cohort.os_months <= np.round(cohort.censoring, 2)).all()
    assert (cohort.recurrence_months[~cohort.recurrence_event] == cohort.os_months[~cohort.recurrence_event]).all()
    assert (cohort.age >= 18).all() and (cohort.age <= 90).all()  # noqa: PT018
    assert set(cohort.bclc) <= set("0ABC")
    assert (cohort.vascular_invasion[cohort.bclc == "C"] == 1).all()
    assert (cohort.tumour_size[cohort.bclc == "0"] <= 2.0).all()
    again = simulate_patients(load_parameters("tiny", overrides), seed)
    for name, column in cohort.columns().items():
        np.testing.assert_array_equal(column, getattr(again, name))
