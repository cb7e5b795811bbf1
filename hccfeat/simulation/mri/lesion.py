"""The lesion of one simulated patient: its surface, halo and texture."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import Legendre
from numpy.typing import NDArray

from hccfeat.simulation.mri.anatomy import LIVER, Anatomy, Array
from hccfeat.simulation.mri.parameters import LesionModel, MriParameters


@dataclass(frozen=True, eq=False)
class Lesion:
    """What PRE and HBP share of one lesion.

    Attributes
    ----------
    centre : float64 (3,)
        Millimetres in the patient.
    radius_mm : float
        Half the diameter on HBP.
    axes : float64 (3,)
        Relative half axes, product 1.
    poles : float64 (harmonics, 3)
        Axes of the surface's zonal harmonics, unit length.
    degrees : int64 (harmonics,)
    weights : float64 (harmonics,)
        Of the harmonics; their sum has root mean square 1 over the sphere.
    halo_mm, edge_mm : float
        Width of the halo, and of the transition at the surface.
    """

    centre: NDArray[np.float64]
    radius_mm: float
    axes: NDArray[np.float64]
    poles: NDArray[np.float64]
    degrees: NDArray[np.int64]
    weights: NDArray[np.float64]
    halo_mm: float
    edge_mm: float


@dataclass(frozen=True, eq=False)
class Extent:
    """The lesion on a part of a grid: distance outwards from its surface (mm) and shares of lesion and halo."""

    outwards: Array
    lesion: Array
    halo: Array


def draw_lesion(
    parameters: MriParameters, anatomy: Anatomy, diameter_mm: float, rng: np.random.Generator
) -> Lesion:
    """Draw a lesion in one of the liver's ellipsoids; the right lobe has three of four."""
    model = parameters.lesion
    lobe = LIVER[int(rng.random() < 0.75)]
    direction = rng.standard_normal(3)
    direction *= model.depth * rng.random() ** (1 / 3) / np.linalg.norm(direction)
    axes = np.exp(model.axis_log_sd * rng.standard_normal(3))
    poles = rng.standard_normal((model.harmonics, 3))
    poles /= np.linalg.norm(poles, axis=1, keepdims=True)
    degrees = rng.integers(model.degrees[0], model.degrees[1] + 1, model.harmonics)
    return Lesion(
        centre=anatomy.centres[lobe] + anatomy.radii[lobe] * direction,
        radius_mm=diameter_mm / 2,
        axes=axes / axes.prod() ** (1 / 3),
        poles=poles,
        degrees=degrees,
        weights=_unit_weights(poles, degrees, rng.standard_normal(model.harmonics)),
        halo_mm=rng.uniform(*model.halo_mm),
        edge_mm=rng.uniform(*model.edge_mm),
    )


def _unit_weights(
    poles: NDArray[np.float64], degrees: NDArray[np.int64], raw: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Scale the weights to root mean square 1 over the sphere.

    Zonal harmonics of degree l about two axes have mean product P_l(cosine of the axes' angle) / (2 l + 1); those
    of different degrees have 0.
    """
    cosine = np.clip(poles @ poles.T, -1, 1)
    product = np.zeros_like(cosine)
    for row, degree in enumerate(degrees):
        same = degrees == degree
        product[row, same] = Legendre.basis(int(degree))(cosine[row, same]) / (2 * degree + 1)
    return raw / np.sqrt(raw @ product @ raw)


def reach_mm(lesion: Lesion, margin: float, size: float) -> float:
    """Distance from the centre that nothing of the lesion exceeds, for cutting out a part of the grid."""
    return float(lesion.radius_mm * size * (1 + 3 * margin) * lesion.axes.max() + 2 * lesion.halo_mm)


def extent(lesion: Lesion, place: Array, margin: float, size: float, voxel_mm: float) -> Extent:
    """The lesion where ``place`` (3, ...) lies in the patient.

    Parameters
    ----------
    margin : float
        Root mean square of the surface's deviation as a share of the radius; the mean volume does not depend on it.
    size : float
        Multiple of the diameter on HBP.
    voxel_mm : float
        The transition at the surface is at least as wide.
    """
    offset = place - lesion.centre.astype(np.float32).reshape(3, 1, 1, 1)
    offset /= lesion.axes.astype(np.float32).reshape(3, 1, 1, 1)
    distance = np.sqrt((offset * offset).sum(axis=0))
    unit = offset / np.maximum(distance, np.float32(1e-3))
    deviation = np.zeros_like(distance)
    for pole, degree, weight in zip(lesion.poles, lesion.degrees, lesion.weights, strict=True):
        cosine = np.tensordot(pole.astype(np.float32), unit, 1)
        deviation += np.float32(weight) * _legendre(int(degree), cosine)
    mean_radius = lesion.radius_mm * size / (1 + 3 * margin**2) ** (1 / 3)
    surface = np.maximum(1 + margin * deviation, 0.35) * np.float32(mean_radius)
    outwards = distance - surface
    share = np.clip(0.5 - outwards / np.float32(max(lesion.edge_mm, voxel_mm)), 0, 1)
    halo = np.clip(1.5 - outwards / np.float32(lesion.halo_mm), 0, 1)
    return Extent(outwards, share, halo)


def _legendre(degree: int, x: Array) -> Array:
    """Legendre polynomial by its recurrence, in the precision of ``x``."""
    before, now = np.ones_like(x), x
    for n in range(1, degree):
        before, now = now, np.float32((2 * n + 1) / (n + 1)) * x * now - np.float32(n / (n + 1)) * before
    return now


def texture(model: LesionModel, place: Array, rng: np.random.Generator) -> Array:
    """A random field of mean about 0 and spread 1 where ``place`` (3, ...) lies: waves in random directions."""
    direction = rng.standard_normal((model.waves, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    number = direction * (2 * np.pi / rng.uniform(*model.wavelength_mm, (model.waves, 1)))
    phase = rng.uniform(0, 2 * np.pi, model.waves)
    total = np.zeros(place.shape[1:], np.float32)
    for wave, start in zip(number.astype(np.float32), phase.astype(np.float32), strict=True):
        total += np.cos(np.tensordot(wave, place, 1) + start)
    return total * np.float32(np.sqrt(2 / model.waves))
