"""A made-up cohort with one latent aggressiveness, judged at three horizons without a network."""

from dataclasses import replace

import numpy as np
import polars as pl

from hccfeat.analysis.data import EndpointData, Population, population
from hccfeat.analysis.judging import judge
from hccfeat.analysis.models import PPS, FittedModel, fit_clinical, usable_indicators
from hccfeat.analysis.prognosis import Place, RatedPatients, rated_patients
from hccfeat.analysis.results import EndpointResult
from hccfeat.config import AnalysisConfig

SETTINGS = AnalysisConfig(bootstraps=100)
INDICATORS = ["hbsag", "alt", "afp", "tumour_size", "bclc", "vascular_invasion"]
PLACES: dict[Place, str] = {"held_out": "internal", "external": "external"}
LABELS = {
    "1y": "Recurrence within 1 year",
    "2y": "Recurrence within 2 years",
    "final": "Recurrence by last follow-up",
}


def endpoints(
    seed: int = 3,
    *,
    train: int = 90,
    held_out: int = 150,
    external: int = 100,
    signal: float = 1.2,
    missing: float = 0.03,
) -> dict[str, EndpointData]:
    """One cohort's input for 1y, 2y and final.

    The image vectors see the latent variable; of the indicators tumour size and vascular invasion do, the others
    are noise. Nobody dies before recurrence; some are lost.
    """
    generator = np.random.default_rng(seed)
    n = train + held_out + external
    latent = generator.normal(size=n)
    raw = generator.exponential(20 * np.exp(-signal * latent))
    lost = generator.uniform(6, 60, size=n)
    time, event = np.minimum(raw, lost) + 0.1, raw <= lost
    cohort = np.where(np.arange(n) >= train + held_out, "external", "internal")
    ids = [f"{name}/P{k:04d}" for k, name in enumerate(cohort)]
    role = ["train"] * train + ["held_out"] * held_out + ["external"] * external
    values = {
        "hbsag": (generator.random(n) < 0.8).astype(float),
        "alt": generator.lognormal(3.6, 0.6, n),
        "afp": generator.lognormal(4, 2, n),
        "tumour_size": np.clip(4.5 + 1.2 * latent + generator.normal(0, 2, n), 0.5, 25),
        "bclc": generator.integers(0, 3, n).astype(float),
        "vascular_invasion": (latent + generator.normal(0, 1.2, n) > 0.6).astype(float),
    }
    holes = {name: np.where(generator.random(n) < missing, np.nan, column) for name, column in values.items()}
    indicators = pl.DataFrame({"patient_id": ids, **holes}).fill_nan(None)
    owners = np.repeat(np.arange(n), 2)
    vectors = latent[owners, None] * 0.6 + generator.normal(size=(2 * n, 6))
    images = pl.DataFrame(
        {
            "patient_id": [ids[k] for k in owners],
            "image_id": [f"{ids[k]}_{j % 2}" for j, k in enumerate(owners)],
            "vector": pl.Series(vectors.astype(np.float32), dtype=pl.Array(pl.Float32, 6)),
        }
    )
    found = {}
    for name, horizon in (("1y", 12.0), ("2y", 24.0), ("final", None)):
        cut = np.inf if horizon is None else horizon
        happened = event & (time <= cut)
        y = [int(h) if h or t >= cut or horizon is None else None for h, t in zip(happened, time, strict=True)]
        patients = pl.DataFrame(
            {
                "patient_id": ids,
                "cohort": cohort,
                "role": role,
                "treated": [False] * n,
                "time": np.minimum(time, cut),
                "event": happened,
                "y": y,
                "excluded": [None if value is not None else "not followed to the horizon" for value in y],
            },
            schema_overrides={"y": pl.Int8, "excluded": pl.String},
        )
        label = LABELS[name]
        found[name] = EndpointData(
            name, label, horizon, "", patients, indicators, list(INDICATORS), images, set(ids[:train])
        )
    return found


def judged(data: EndpointData, settings: AnalysisConfig = SETTINGS) -> EndpointResult:
    """What ``analyze`` finds for two models, without fitting a network: the PPS risk is the mean image vector."""
    result = EndpointResult(data.endpoint, data.label, data.horizon_months, data.exclusion_rule)
    train = population(data, "internal", "train", "apparent")
    train = train.take(train.labelled)

    def mean_vector(patients: Population) -> np.ndarray:
        assert patients.image_vectors is not None
        return 1 / (1 + np.exp(-2 * patients.patient_mean(patients.image_vectors).mean(axis=1)))

    pps = FittedModel(PPS, "the mean image vector", mean_vector)
    for model in (pps, fit_clinical(train, usable_indicators(train))):
        cut = float(np.median(model.predict(train))) if model is pps else None
        for place, cohort in PLACES.items():
            if cohort not in data.cohorts(place):
                continue
            verdict = judge(data, model, population(data, cohort, place, place), settings, cut)
            for name in ("metrics", "predictions", "rocs", "groups", "hazard_ratios"):
                getattr(result, name).extend(getattr(verdict, name))
    return result


def rated(
    inputs: dict[str, EndpointData],
    results: dict[str, EndpointResult],
    endpoint: str = "1y",
    place: Place = "held_out",
) -> RatedPatients:
    """The judges of one endpoint and place."""
    return rated_patients(inputs[endpoint], results[endpoint], inputs["final"], place, PLACES[place])


def with_indicator(judges: RatedPatients, name: str, values: np.ndarray) -> RatedPatients:
    """The judges with one indicator replaced."""
    indicators = judges.patients.indicators.copy()
    indicators[:, judges.patients.indicator_names.index(name)] = values
    return replace(judges, patients=replace(judges.patients, indicators=indicators))
