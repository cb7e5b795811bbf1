from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hccfeat.evidence import treatment
from hccfeat.evidence.record import Part
from hccfeat.evidence.settings import load_settings, simulation
from hccfeat.evidence.studies import Options
from hccfeat.evidence.treatment_page import operating
from hccfeat.simulation.cohort import simulate_patients
from hccfeat.stats.estimate import Z


def _fits(pi: float, b_az: float, seeds: range) -> tuple[np.ndarray, np.ndarray]:
    terms = []
    for seed in seeds:
        cohort = simulate_patients(simulation(2000, pi, 1.0, b_az), seed)
        term = treatment.fit(cohort, cohort.aggressiveness, products=False).term(treatment.INTERACTION)
        assert term is not None
        terms.append((term.coefficient, term.standard_error))
    return np.array(terms)[:, 0], np.array(terms)[:, 1]


@pytest.mark.parametrize("b_az", [-0.7, 0.0])
def test_with_a_known_and_no_noise_the_true_coefficient_is_recovered(b_az: float) -> None:
    estimates, errors = _fits(0.0, b_az, range(1, 6))
    assert abs(estimates.mean() - b_az) < 3.5 * errors.mean() / np.sqrt(len(estimates))
    assert (np.abs(estimates - b_az) < 4 * errors).all()


def test_replaced_recurrence_times_dilute_it() -> None:
    estimates, errors = _fits(0.6, -0.7, range(1, 4))
    assert estimates.mean() > -0.7 + 3 * errors.mean() / np.sqrt(len(estimates))


def test_a_replicate_has_every_number() -> None:
    row = dict(zip(treatment.COLUMNS, treatment.replicate(2, 366, 0.4, -0.7, 3), strict=True))
    assert 50 < row["treated"] < 110
    assert 100 < row["events"] < 300
    assert all(row[f"{fit}:error"] > 0 for fit in treatment.FITS)
    assert abs(row["a:adjusted:estimate"] - row["signal:adjusted:estimate"]) > 0.001


def test_operating_characteristics_are_counted() -> None:
    study = load_settings().treatment
    columns = ("patients", "pi", "b_az", "seed", *treatment.COLUMNS)
    numbers = {"estimate": (-0.5, -0.1, None), "error": (0.1, 0.2, None)}

    def row(patients: int, seed: int, pick: Any) -> list[Any]:
        return [patients, 0.4, -0.7, seed, *[pick(name.split(":")[-1]) for name in columns[4:]]]

    cohorts = Part(
        "cohorts",
        {},
        columns,
        4,
        [row(2000, k, lambda name, k=k: numbers.get(name, (1, 1, 1))[k]) for k in range(3)],
    )
    aim = Part(
        "population", {}, columns, 4, [row(study.population, 1, lambda name: -0.45 if name == "estimate" else 0.01)]
    )
    found = operating(cohorts, aim, study, 2000, 0.4, -0.7, "a:adjusted")
    assert (found.estimated, found.mean, found.target) == (2, pytest.approx(-0.3), -0.45)
    assert (found.covers_target, found.covers_truth, found.rejects) == ((2, 2), (0, 2), (1, 2))
    assert found.bias.mean == pytest.approx(0.15)
    assert found.detectable == pytest.approx((Z + 0.8416) * 0.15, abs=1e-3)


def test_the_study_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []

    def count(*key: Any) -> list[Any]:
        calls.append(key)
        return [*[-0.5, 0.1] * len(treatment.FITS), 400, 900]

    monkeypatch.setattr(treatment, "replicate", count)
    treatment.run(Options(tmp_path, replicates=1))
    assert len(calls) == 8 + 4
    evidence = treatment.run(Options(tmp_path, replicates=2))
    assert len(calls) == 8 + 4 + 8
    assert any("power" in line for line in evidence.summary)
