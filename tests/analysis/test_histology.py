"""Patch risks against known tissue: what is built in must come out, and what is not must not."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.histology import (
    AGGRESSIVENESS,
    BETWEEN,
    POOLED,
    WITHIN,
    Association,
    HistologyResult,
    compare,
    histology,
)
from hccfeat.analysis.patch_risks import patch_risks
from hccfeat.analysis.patch_truth import EXPECTED, with_truth
from hccfeat.config import load_study_config
from hccfeat.errors import AnalysisError, InputError, LeakageError
from hccfeat.extraction.feature_sets import newest
from hccfeat.store.catalog import query


def patches(patients: int = 30, each: int = 12, *, slope: float = 1.0, seed: int = 0) -> pl.DataFrame:
    """Tumour patches whose risk rises with nuclear area within and between patients, falls with lymphocytes."""
    rng = np.random.default_rng(seed)
    n = patients * each
    latent = np.repeat(rng.normal(size=patients), each)
    area = 45 + 5 * latent + 5 * rng.normal(size=n)
    lymphocytes = np.exp(6 - 0.5 * latent + 0.3 * rng.normal(size=n))
    score = slope * ((area - 45) / 5 - (np.log(lymphocytes) - 6)) + rng.normal(size=n)
    return pl.DataFrame(
        {
            "population": "held out",
            "patient_id": np.repeat([f"p{i:02d}" for i in range(patients)], each),
            "probability": (1 / (1 + np.exp(-score))).astype(np.float32),
            "nuclear_area_um2": area,
            "nuclei_per_mm2": rng.normal(3000, 200, n),
            "lymphocytes_per_mm2": lymphocytes,
            "compartment": "tumour",
            AGGRESSIVENESS: latent,
        }
    )


def rho(result: HistologyResult, measure: str, level: str) -> Association:
    return next(a for a in result.associations if (a.measure, a.level) == (measure, level))


def test_what_the_risk_is_made_of_comes_out_with_its_sign() -> None:
    result = compare(patches(), resamples=200)
    for measure in ("nuclear_area_um2", "lymphocytes_per_mm2"):
        for level in (POOLED, WITHIN, BETWEEN):
            found = rho(result, measure, level).rho
            assert found.value is not None
            assert found.lower is not None
            assert found.upper is not None
            assert np.sign(found.value) == EXPECTED[measure], level
            assert found.lower > 0 or found.upper < 0 or (measure, level) == ("lymphocytes_per_mm2", WITHIN)
            assert (found.patients, found.patches) == (30, 360)
    assert rho(result, AGGRESSIVENESS, BETWEEN).rho.value > 0.5
    assert not [a for a in result.associations if a.measure == AGGRESSIVENESS and a.level != BETWEEN]


def test_what_the_risk_is_not_made_of_does_not() -> None:
    result = compare(patches(), resamples=200)
    for level in (POOLED, WITHIN):
        found = rho(result, "nuclei_per_mm2", level).rho
        assert found.lower < 0 < found.upper
    noise = compare(patches(slope=0.0), resamples=200)
    found = rho(noise, "nuclear_area_um2", POOLED).rho
    assert found.lower < 0 < found.upper


def test_intervals_resample_patients_not_patches() -> None:
    """Copies of a patient's patches add nothing: the interval stays as wide."""
    few = patches(12, 6)
    many = pl.concat([few] * 6)
    widths = []
    for frame in (few, many):
        found = rho(compare(frame, resamples=300), "nuclear_area_um2", POOLED).rho
        widths.append(found.upper - found.lower)
    assert widths[1] == pytest.approx(widths[0], rel=0.02)


def test_compartments_are_compared_within_patients() -> None:
    tumour = patches(8, 6)
    adjacent = tumour.with_columns(
        compartment=pl.lit("adjacent"), probability=(pl.col("probability") * 0.5).cast(pl.Float32)
    )
    lonely = adjacent.head(6).with_columns(patient_id=pl.lit("other"), probability=pl.lit(0.9, pl.Float32))
    result = compare(pl.concat([tumour, adjacent, lonely]), resamples=200)
    places = {place.compartment: place for place in result.places}
    assert set(places) == {"tumour", "adjacent"}
    assert places["tumour"].difference.value is None
    assert (places["adjacent"].risk.patients, places["adjacent"].risk.patches) == (9, 54)
    assert (places["adjacent"].difference.patients, places["adjacent"].difference.patches) == (8, 48)
    risk = tumour["probability"].cast(pl.Float64)
    assert places["adjacent"].difference.value == pytest.approx(-0.5 * risk.mean() / risk.std(ddof=0), rel=1e-6)
    assert places["tumour"].risk.value == pytest.approx(0, abs=1e-9)
    assert places["adjacent"].difference.upper < 0


def test_too_little_gives_no_number_and_a_reason() -> None:
    two = compare(patches(2, 6), resamples=100)
    assert rho(two, "nuclear_area_um2", POOLED).rho.value is None
    assert "2 patients" in rho(two, "nuclear_area_um2", POOLED).rho.method
    constant = patches(5, 6).with_columns(probability=pl.lit(0.5, pl.Float32))
    found = rho(compare(constant, resamples=100), "nuclear_area_um2", POOLED).rho
    assert found.value is None
    assert "does not vary" in found.method
    assert compare(constant, resamples=100).places[0].risk.value is None
    assert rho(compare(patches(6, 3), resamples=100), "nuclear_area_um2", WITHIN).rho.value is None
    with pytest.raises(AnalysisError):
        compare(patches().head(0))


def truth_cells(**columns: list[float] | list[str]) -> pl.DataFrame:
    """Four cells of 64 px that one patch of 128 px covers."""
    base = {
        "image_id": ["i/a"] * 4,
        "x": [0, 64, 0, 64],
        "y": [0, 0, 64, 64],
        "nuclear_area_um2": [40.0, 60.0, 50.0, None],
        "nuclei_per_mm2": [1000.0, 3000.0, 1000.0, 0.0],
        "lymphocytes_per_mm2": [100.0, 200.0, 300.0, 400.0],
        "compartment": ["tumour", "tumour", "stroma", "background"],
        "tissue_share": [1.0, 1.0, 1.0, 0.2],
        "tumour_share": [1.0, 1.0, 0.0, 0.0],
        "adjacent_share": [0.0, 0.0, 0.0, 0.0],
    }
    return pl.DataFrame(base | columns)


def risks(side: int, x: int = 0) -> pl.DataFrame:
    return pl.DataFrame({"image_id": ["i/a"], "x": [x], "y": [0], "side": [side], "probability": [0.4]})


def test_a_finer_truth_is_merged_by_what_is_there() -> None:
    (row,) = with_truth(risks(128), truth_cells()).to_dicts()
    assert row["nuclear_area_um2"] == pytest.approx((40 * 1 + 60 * 3 + 50 * 1) / 5)
    assert row["nuclei_per_mm2"] == pytest.approx(5000 / 3.2)
    assert row["lymphocytes_per_mm2"] == pytest.approx((100 + 200 + 300 + 80) / 3.2)
    assert (row["compartment"], row["probability"]) == ("tumour", 0.4)
    edge = truth_cells(tumour_share=[1.0, 0.0, 0.0, 0.0], adjacent_share=[0.0, 1.0, 0.0, 0.0])
    assert with_truth(risks(128), edge)["compartment"].to_list() == ["edge"]
    glass = truth_cells(tissue_share=[0.9, 0.3, 0.2, 0.1])
    assert with_truth(risks(128), glass)["compartment"].to_list() == ["background"]


def test_an_equal_grid_is_taken_as_it_is_and_a_coarser_one_refused() -> None:
    (row,) = with_truth(risks(64, x=64), truth_cells()).to_dicts()
    assert (row["nuclear_area_um2"], row["lymphocytes_per_mm2"], row["compartment"]) == (60, 200, "tumour")
    with pytest.raises(AnalysisError, match="coarser"):
        with_truth(risks(32), truth_cells())


def test_stored_patches_and_the_truth_meet(extracted_study: Path, tiny_hospital: Path) -> None:
    feature_set = newest(extracted_study, "pps")
    assert feature_set is not None
    result = histology(
        extracted_study, load_study_config(extracted_study), tiny_hospital / "truth", feature_set, resamples=100
    )
    assert {a.population for a in result.associations} == {"held out", "external"}
    stored = query(extracted_study, "SELECT sum(patches) AS n FROM shard WHERE feature_set = 'pps-1'")["n"][0]
    assert 0 < sum(place.risk.patches for place in result.places) < stored
    with pytest.raises(InputError, match="truth/ folder"):
        histology(extracted_study, load_study_config(extracted_study), tiny_hospital, feature_set)


def test_patients_of_the_training_do_not_judge(
    extracted_study: Path, tiny_hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feature_set = newest(extracted_study, "pps")
    assert feature_set is not None
    real = query

    def leaky(study: Path, text: str, parameters: list[str] | None = None) -> pl.DataFrame:
        return real(study, text.replace("s.role = 'test' OR ", "true OR "), parameters)

    monkeypatch.setattr("hccfeat.analysis.histology.query", leaky)
    with pytest.raises(LeakageError):
        histology(extracted_study, load_study_config(extracted_study), tiny_hospital / "truth", feature_set)


def test_patch_risks_average_to_the_image(extracted_study: Path) -> None:
    from hccfeat.store.shards import read_shard, shard_path
    from hccfeat.training.encoder import load_encoder
    from hccfeat.training.risk import image_drs

    feature_set = newest(extracted_study, "pps")
    assert feature_set is not None
    image_id = query(extracted_study, "SELECT min(image_id) AS i FROM shard WHERE patches > 0")["i"][0]
    found = patch_risks(extracted_study, feature_set, [image_id, "internal/none"])
    encoder = load_encoder(extracted_study / "models" / "pps-1" / "weights.safetensors", feature_set.recipe)
    shard = read_shard(shard_path(extracted_study, "pps-1", image_id))
    assert found["probability"].mean() == pytest.approx(image_drs(encoder, shard.vectors), rel=1e-6)
    assert found.select("x", "y").rows() == [tuple(row) for row in shard.coords.tolist()]
