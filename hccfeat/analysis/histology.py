"""Patch risks against what is known of the tissue: nuclei, lymphocytes and the tumour's edge of simulated slides.

Only evidence on simulated data calls this: the truth of a delivery is for nothing else (docs/simulation.md).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.analysis.guard import assert_unseen
from hccfeat.analysis.patch_risks import patch_risks
from hccfeat.analysis.patch_truth import EXPECTED, read_truth, with_truth
from hccfeat.cohort.frozen import split_name
from hccfeat.config import StudyConfig
from hccfeat.errors import AnalysisError
from hccfeat.extraction.identity import FeatureSet
from hccfeat.stats.rank_correlation import weighted_spearman
from hccfeat.stats.resampling import WeightedStatistic, bootstrap, percentile_interval
from hccfeat.store.catalog import query

AGGRESSIVENESS = "aggressiveness"
"""The patient's latent A, from which recurrence and tissue both follow."""
COMPARTMENTS = ("tumour", "edge", "adjacent", "stroma", "portal")
POOLED, WITHIN, BETWEEN = "all patches", "within patients", "patients' means"
MIN_PATCHES = 5
"""Fewer tumour patches of a patient give no correlation of their own."""


@dataclass(frozen=True)
class Measured:
    """A number on some patients, with a 95 % interval that resamples patients.

    ``value``, ``lower`` and ``upper`` are None where they cannot be had; ``method`` then says why.
    """

    value: float | None
    lower: float | None
    upper: float | None
    patients: int
    patches: int
    method: str


@dataclass(frozen=True)
class Association:
    """Spearman correlation of risk and a measure over tumour patches, ``level`` saying of what."""

    population: str
    measure: str
    level: str
    rho: Measured


@dataclass(frozen=True)
class Place:
    """Mean risk in a compartment, and its difference from the same patients' tumour; each patient counts once.

    Both are in standard deviations of the risk of the population's tumour patches, ``risk`` from their mean:
    probabilities of an encoder may differ in the fourth decimal only and still rank patches well.
    """

    population: str
    compartment: str
    risk: Measured
    difference: Measured


@dataclass(frozen=True)
class HistologyResult:
    """What :func:`compare` finds."""

    associations: list[Association]
    places: list[Place]


def histology(
    study: Path,
    config: StudyConfig,
    truth: Path,
    feature_set: FeatureSet,
    *,
    resamples: int = 1000,
    seed: int = 2023,
) -> HistologyResult:
    """Compare the patch risks of patients that the encoder has not seen with the truth of a simulated delivery.

    Parameters
    ----------
    study : Path
        Study folder into which the delivery was ingested.
    config : StudyConfig
        Names the frozen split, whose test patients are judged beside every patient of other cohorts.
    truth : Path
        The delivery's ``truth/`` folder.
    feature_set : FeatureSet
        Whose risks.
    resamples, seed : int
        Of the bootstrap over patients.

    Raises
    ------
    LeakageError
        If the encoder has seen a judged patient.
    InputError
        If the truth is not there.
    AnalysisError
        If nothing can be judged, or the truth's grid is coarser than the patches.
    """
    images = query(
        study,
        "SELECT i.image_id, i.patient_id, CASE WHEN s.role = 'test' THEN 'held out' ELSE 'external' END "
        "AS population FROM image AS i LEFT JOIN split AS s ON s.patient_id = i.patient_id AND s.split = ? "
        "WHERE (s.role = 'test' OR i.cohort <> ?) AND coalesce(i.modality, 'slide') = 'slide' ORDER BY i.image_id",
        [split_name(config), config.development_cohort],
    )
    seen = query(
        study, "SELECT DISTINCT patient_id FROM feature_set_patient WHERE feature_set = ?", [feature_set.name]
    )["patient_id"].to_list()
    assert_unseen(images["patient_id"], seen, "patients whose histology is known")
    risks = patch_risks(study, feature_set, images["image_id"].to_list()).join(images, on="image_id")
    latent = read_truth(truth / "patients.csv").select("patient_id", AGGRESSIVENESS)
    known = with_truth(risks, read_truth(truth / "patches.csv")).join(latent, on="patient_id", how="left")
    return compare(known, resamples=resamples, seed=seed)


def compare(patches: pl.DataFrame, *, resamples: int = 1000, seed: int = 2023) -> HistologyResult:
    """Correlate risks with measures over tumour patches, and compare compartments.

    Parameters
    ----------
    patches : DataFrame
        ``population``, ``patient_id``, ``probability``, ``compartment``, the measures of :data:`EXPECTED`, and
        the patient's latent ``aggressiveness`` where it is known.
    resamples, seed : int
        Of the bootstrap over patients.

    Returns
    -------
    HistologyResult
        For each population and measure the Spearman correlation over all tumour patches, the mean of the patients'
        own correlations, and that of the patients' means; and the mean risk by compartment.

    Raises
    ------
    AnalysisError
        If there is no patch.
    """
    if patches.is_empty():
        raise AnalysisError("histology", "is known of no judged patch", "Judge the patients of this simulation.")
    associations, places = [], []
    for population in sorted(set(patches["population"]), reverse=True):
        mine = patches.filter(pl.col("population") == population)
        tumour = mine.filter(pl.col("compartment") == "tumour")
        scaled = mine.with_columns(probability=_standardised(mine["probability"], tumour["probability"]))
        for measure in [*EXPECTED, *({AGGRESSIVENESS} & set(mine.columns))]:
            known = tumour.drop_nulls(measure)
            for level, rho in _correlations(known, measure, resamples, seed).items():
                if measure != AGGRESSIVENESS or level == BETWEEN:
                    associations.append(Association(population, measure, level, rho))
        present = [name for name in COMPARTMENTS if (mine["compartment"] == name).any()]
        places += [_place(scaled, population, name, resamples, seed) for name in present]
    return HistologyResult(associations, places)


def _correlations(known: pl.DataFrame, measure: str, resamples: int, seed: int) -> dict[str, Measured]:
    risk, value = known["probability"].to_numpy().astype(np.float64), known[measure].to_numpy()
    names, owner = np.unique(known["patient_id"].to_numpy().astype(str), return_inverse=True)
    one = np.ones((1, len(owner)))
    own = [
        float(weighted_spearman(risk[owner == i], value[owner == i], one[:, owner == i])[0])
        if (owner == i).sum() >= MIN_PATCHES
        else np.nan
        for i in range(len(names))
    ]
    within = np.array([rho for rho in own if np.isfinite(rho)])
    counts = np.maximum(np.bincount(owner, minlength=len(names)), 1)
    means = [np.bincount(owner, column, len(names)) / counts for column in (risk, value)]

    def all_patches(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return weighted_spearman(risk, value, weights[:, owner])

    def between(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return weighted_spearman(means[0], means[1], weights)

    inside = int(sum((owner == i).sum() for i, rho in enumerate(own) if np.isfinite(rho)))
    return {
        POOLED: _measured(all_patches, len(names), len(owner), resamples, seed),
        WITHIN: _measured(_mean_of(within), len(within), inside, resamples, seed),
        BETWEEN: _measured(between, len(names), len(owner), resamples, seed),
    }


def _standardised(risk: pl.Series, reference: pl.Series) -> pl.Series:
    """Risks as distances from the mean of the reference in its standard deviations; NaN where it has none."""
    values, known = (series.cast(pl.Float64).to_numpy() for series in (risk, reference))
    spread = float(known.std()) if len(known) else 0.0
    if spread < 1e-12:
        return pl.Series(np.full(len(values), np.nan))
    return pl.Series((values - known.mean()) / spread)


def _place(mine: pl.DataFrame, population: str, compartment: str, resamples: int, seed: int) -> Place:
    """Mean risk of one compartment, and its difference from tumour within patients who have both."""
    here = mine.filter(pl.col("compartment") == compartment)
    risk = here.group_by("patient_id").agg(pl.col("probability").mean()).sort("patient_id")
    tumour = mine.filter(pl.col("compartment") == "tumour")
    paired = risk.join(
        tumour.group_by("patient_id").agg(tumour=pl.col("probability").mean()), on="patient_id"
    ).sort("patient_id")
    values = risk["probability"].to_numpy()
    differences = (paired["probability"] - paired["tumour"]).to_numpy()
    both = int(here["patient_id"].is_in(paired["patient_id"].to_list()).sum())
    if compartment == "tumour":
        difference = Measured(None, None, None, len(differences), both, "the compartment compared with")
    else:
        difference = _measured(_mean_of(differences), len(differences), both, resamples, seed)
    return Place(
        population, compartment, _measured(_mean_of(values), len(values), here.height, resamples, seed), difference
    )


def _mean_of(values: NDArray[np.float64]) -> WeightedStatistic:
    """Weighted mean of one value per patient."""

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(weights @ values / weights.sum(axis=1))

    return statistic


def _measured(statistic: WeightedStatistic, patients: int, patches: int, resamples: int, seed: int) -> Measured:
    if patients < 3:
        return Measured(None, None, None, patients, patches, f"not given for {patients} patients")
    value = float(statistic(np.ones((1, patients)))[0])
    if not np.isfinite(value):
        return Measured(None, None, None, patients, patches, "not defined: a variable does not vary")
    lower, upper, note = percentile_interval(bootstrap(statistic, patients, resamples, seed))
    return Measured(value, lower, upper, patients, patches, note)
