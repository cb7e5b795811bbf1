"""The histology study: its page, what it keeps, and one small run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hccfeat.analysis.histology import AGGRESSIVENESS, BETWEEN, POOLED, WITHIN
from hccfeat.analysis.patch_truth import EXPECTED
from hccfeat.config import Recipe, load_study_config
from hccfeat.evidence import histology as study
from hccfeat.evidence.histology import COLUMNS, DIFFERENCE, RISK, replicate, run
from hccfeat.evidence.page import markdown
from hccfeat.evidence.settings import HistologyStudy, load_settings
from hccfeat.evidence.studies import Options
from hccfeat.simulation.parameters import load_parameters


def rows(seed: int, rho: float) -> list[list[Any]]:
    found: list[list[Any]] = []
    for population in ("held out", "external"):
        for measure, sign in EXPECTED.items():
            for level in (POOLED, WITHIN, BETWEEN):
                value = sign * rho + 0.01 * seed
                found.append([seed, population, measure, level, value, value - 0.1, value + 0.1, 40, 300])
        found.append([seed, population, AGGRESSIVENESS, BETWEEN, 0.5, 0.3, 0.7, 40, 300])
        for level, value in ((RISK, 0.4), (DIFFERENCE, -0.1)):
            found.append([seed, population, "adjacent", level, value, value - 0.05, value + 0.05, 9, 30])
        found.append([seed, population, "tumour", DIFFERENCE, None, None, None, 40, 300])
    return found


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seeds: list[int] = []

    def fake(_: HistologyStudy, seed: int) -> list[list[Any]]:
        seeds.append(seed)
        return rows(seed, 0.3)

    monkeypatch.setattr(study, "replicate", fake)
    return seeds


def test_the_page_says_what_was_expected_and_what_came(tmp_path: Path, made: list[int]) -> None:
    evidence = run(Options(tmp_path, replicates=3, command="hccfeat evidence histology"))
    assert made == [1, 2, 3]
    assert len(evidence.summary) == 2 * 4
    by_measure = [line for line in evidence.summary if line.startswith("Held out")]
    assert ["as expected" in line for line in by_measure] == [True] * 4
    page = markdown(evidence)
    assert "SIMULATED" in page
    assert "lymphocytes per mm² | all patches | - | -0.290 (-0.390 to -0.190)" in page
    assert "| adjacent | minus the patient's tumour | -0.100 (-0.150 to -0.050)" in page
    assert "| tumour | minus" not in page
    assert "40/40/40 patients" in page
    assert "None" not in page


def test_a_result_against_expectation_is_printed_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "replicate", lambda _, seed: rows(seed, -0.3))
    evidence = run(Options(tmp_path, replicates=3))
    assert sum("against expectation" in line for line in evidence.summary) == 6
    monkeypatch.setattr(study, "replicate", lambda _, seed: rows(seed, 0.3 * (-1) ** seed))
    evidence = run(Options(tmp_path / "b", replicates=2))
    assert sum("not shown" in line for line in evidence.summary) >= 6


def test_finished_seeds_are_kept_and_others_not_claimed(tmp_path: Path, made: list[int]) -> None:
    run(Options(tmp_path, replicates=1))
    kept = run(Options(tmp_path, replicates=2, images=False))
    assert made == [1]
    assert all("not judged, one seed" in line for line in kept.summary)
    run(Options(tmp_path, replicates=2))
    assert made == [1, 2]
    run(Options(tmp_path, replicates=2), load_settings().histology.model_copy(update={"patients": 301}))
    assert made == [1, 2, 1, 2]
    nothing = run(Options(tmp_path / "empty", images=False))
    assert nothing.summary == ["Not run: no seed is kept."]


def test_a_seed_is_simulated_extracted_and_compared(
    extracted_study: Path, tiny_hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wiring, with the tiny study in place of the one that the seed would give."""
    asked: dict[str, Any] = {"ingested": []}

    def simulated(_: Path, preset: str, seed: int, overrides: dict[str, float]) -> Any:
        asked.update(preset=preset, seed=seed, overrides=overrides)
        cohorts = {
            name: SimpleNamespace(name=name, clinical="c", slides="s", manifest="m")
            for name in ("internal", "external")
        }
        return SimpleNamespace(**cohorts, truth=tiny_hospital / "truth")

    def made(*_: Any, **__: Any) -> Any:
        def ingest(cohort: str, *_: Any, **__: Any) -> None:
            asked["ingested"].append(cohort)

        return SimpleNamespace(folder=extracted_study, config=load_study_config(extracted_study), ingest=ingest)

    def extracted(_: Path, __: Any, recipe: Recipe, ___: Any) -> None:
        asked["recipe"] = recipe

    monkeypatch.setattr("hccfeat.simulation.deliver.simulate", simulated)
    monkeypatch.setattr("hccfeat.study.init_study", made)
    monkeypatch.setattr("hccfeat.extraction.workflow.extract", extracted)
    study = load_settings().histology.model_copy(update={"bootstraps": 100})
    found = [dict(zip(COLUMNS, row, strict=True)) for row in replicate(study, 7)]
    assert (asked["preset"], asked["seed"], asked["ingested"]) == ("demo", 7, ["internal", "external"])
    assert asked["overrides"] == {"pi": 0.0, "patients": 300, "width_px": 256, "external_patients": 24}
    load_parameters("demo", asked["overrides"])
    assert (asked["recipe"].patches.per_image, asked["recipe"].encoder.name) == (16, "cnn_sasm")
    assert {row["population"] for row in found} == {"held out", "external"}
    assert {row["level"] for row in found} == {POOLED, WITHIN, BETWEEN, RISK, DIFFERENCE}
    assert all(row["seed"] == 7 for row in found)
    known = [row for row in found if row["value"] is not None]
    assert len(known) > 8
    assert all(row["lower"] is None or row["lower"] <= row["upper"] for row in known)
