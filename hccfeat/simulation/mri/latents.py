"""The latents of simulated MRI patients, what their images will show, and the grade of microvascular invasion."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hccfeat.config import GRADES
from hccfeat.simulation.mri.parameters import FEATURES, MriParameters, Seed, stream

LATENTS, ITEMS, ABSENT, EXAM = 6, 7, 8, 9
"""Codes of the streams of random numbers; the slides have 1 to 5."""


@dataclass(frozen=True, eq=False)
class Latents:
    """Arrays of equal length n, one element per patient.

    Attributes
    ----------
    s, i, k : float64
        The latents: S in the items and weakly in the image, I in the image only, K in the items only.
    score : float64
        Weighted sum of them and noise.
    grade : int64
        0, 1, 2 for M0, M1, M2.
    signals : float64 (n, 4)
        What the image shows of I and S, one column for each of ``parameters.FEATURES``.
    diameter_mm : float64
        Of the lesion on HBP.
    """

    s: NDArray[np.float64]
    i: NDArray[np.float64]
    k: NDArray[np.float64]
    score: NDArray[np.float64]
    grade: NDArray[np.int64]
    signals: NDArray[np.float64]
    diameter_mm: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.score)

    def feature(self, parameters: MriParameters, name: str, row: int) -> float:
        """Value of a feature of a patient's image: a share or a factor, see ``simulation_mri.toml``."""
        model = parameters.image.features[name]
        value = model.typical * np.exp(model.per_signal * self.signals[row, FEATURES.index(name)])
        return float(min(value, model.most))


def draw_latents(
    parameters: MriParameters,
    seed: Seed,
    aggressiveness: NDArray[np.float64],
    tumour_size_cm: NDArray[np.float64] | None = None,
) -> Latents:
    """Draw the patients' latents and grades.

    Equal seeds give equal S, I, K and noise whatever the weights are, so that arms of a comparison can be paired.

    Parameters
    ----------
    parameters : MriParameters
    seed : int or sequence of int
    aggressiveness : float64 (n,)
        A of the same patients (``Cohort.aggressiveness``).
    tumour_size_cm : float64 (n,), optional
        Of the clinical table: the diameter on HBP. Without it the diameter is drawn.
    """
    model, image, size = parameters.latents, parameters.image, parameters.lesion.diameter_mm
    n = len(aggressiveness)
    rng = stream(seed, LATENTS)
    own, i, k, noise = rng.standard_normal((4, n))
    shown = rng.standard_normal((n, len(FEATURES)))
    drawn = size.middle * np.exp(size.log_sd * rng.standard_normal(n))
    s = model.rho * aggressiveness + np.sqrt(1 - model.rho**2) * own
    score = model.weight_s * s + model.weight_i * i + model.weight_k * k + model.noise * noise
    spread = np.array([image.features[name].noise for name in FEATURES])
    signals = (image.image_i * i + image.image_s * s)[:, None] + spread * shown
    diameter = drawn if tumour_size_cm is None else 10 * tumour_size_cm
    return Latents(
        s=s,
        i=i,
        k=k,
        score=score,
        grade=cut_grades(score, model.grades),
        signals=np.clip(signals, -image.limit, image.limit),
        diameter_mm=np.clip(diameter, *size.range),
    )


def cut_grades(score: NDArray[np.float64], shares: tuple[int, ...]) -> NDArray[np.int64]:
    """Cut the ranks of a score into grades of these shares; with ``sum(shares)`` patients the counts are exact."""
    counts = largest_remainder(len(score), shares)
    grade = np.empty(len(score), np.int64)
    grade[np.argsort(score, kind="stable")] = np.repeat(np.arange(len(GRADES)), counts)
    return grade


def largest_remainder(total: int, shares: tuple[int, ...]) -> list[int]:
    """Split a whole number in the ratio of ``shares``, the rest going to the largest remainders."""
    exact = [total * share / sum(shares) for share in shares]
    counts = [int(number) for number in exact]
    by_remainder = sorted(range(len(shares)), key=lambda j: counts[j] - exact[j])
    for j in by_remainder[: total - sum(counts)]:
        counts[j] += 1
    return counts
