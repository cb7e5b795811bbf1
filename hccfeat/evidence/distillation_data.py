"""Patients of the distillation study: latents, items and grades of the MRI simulator, and stand-ins of images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from hccfeat.config import GRADES, PHASES
from hccfeat.evidence.settings import Truth, simulation
from hccfeat.simulation.cohort import Cohort, simulate_patients
from hccfeat.simulation.mri.items import clinical_items, item_matrix
from hccfeat.simulation.mri.latents import Latents, draw_latents
from hccfeat.simulation.mri.parameters import FEATURES, MriParameters, load_mri_parameters

Floats = NDArray[np.float64]
PRESET = "mri"
NOISE_FEATURES = 31
"""Code of the stream of random numbers of features that show nothing."""


@dataclass(frozen=True, eq=False)
class Patients:
    """Patients of one seed.

    Attributes
    ----------
    cohort : Cohort
        Their row in the table of the slides' simulator.
    latents : Latents
        With the grade.
    items : float64 (n, C)
        Clinical items as recorded, NaN where missing.
    """

    cohort: Cohort
    latents: Latents
    items: Floats

    def __len__(self) -> int:
        return len(self.latents)


def truth_parameters(truth: Truth) -> MriParameters:
    """The simulator's parameters with the weights of some latents given to K; the score keeps its variance."""
    shipped = load_mri_parameters(PRESET)
    weights = {name: getattr(shipped.latents, f"weight_{name}") for name in ("s", "i", "k")}
    for name in truth.to_k:
        weights["k"] = float(np.hypot(weights["k"], weights[name]))
        weights[name] = 0.0
    return load_mri_parameters(PRESET, {f"weight_{name}": value for name, value in weights.items()})


def draw_patients(parameters: MriParameters, patients: int, seed: int) -> Patients:
    """Draw patients; whatever the weights of the grade are, equal seeds give equal latents, items and images."""
    cohort = simulate_patients(simulation(patients, 0.0, 0.0), seed)
    latents = draw_latents(parameters, seed, cohort.aggressiveness, cohort.tumour_size)
    return Patients(cohort, latents, item_matrix(clinical_items(parameters, latents, cohort, seed)))


def image_features(parameters: MriParameters, latents: Latents, features: int, seed: int) -> Floats:
    """What each phase shows of I and S, and noise: (n, phases, features), in the order of ``PHASES``."""
    noise = np.random.default_rng([seed, NOISE_FEATURES]).standard_normal((len(latents), len(PHASES), features))
    for place, phase in enumerate(PHASES):
        shown = [n for n, name in enumerate(FEATURES) if parameters.image.features[name].phase == phase]
        noise[:, place, : len(shown)] = latents.signals[:, shown]
    return noise


def exact_probabilities(parameters: MriParameters, latents: Latents) -> Floats:
    """P(grade) given S, I and K: what the noise of the score leaves open, (n, grades)."""
    model = parameters.latents
    known = model.weight_s * latents.s + model.weight_i * latents.i + model.weight_k * latents.k
    cuts = np.array([latents.score[latents.grade == grade].max() for grade in range(len(GRADES) - 1)])
    below = norm.cdf((cuts - known[:, None]) / model.noise)
    return np.asarray(np.diff(below, prepend=0.0, append=1.0))
