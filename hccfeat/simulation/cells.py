"""Positions and shapes of nuclei, lymphocytes, fat vacuoles and red cells in a field (micrometres)."""

from dataclasses import dataclass

import numpy as np

from hccfeat.simulation.layout import Compartment, Layout, smooth_noise
from hccfeat.simulation.looks import Look
from hccfeat.simulation.parameters import Tissue


@dataclass(frozen=True)
class Ellipses:
    """Ellipses in a field, arrays of length n: centres and half axes in micrometres, angle in radians, weight."""

    x: np.ndarray
    y: np.ndarray
    long: np.ndarray
    short: np.ndarray
    angle: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return self.x.size

    @property
    def area_um2(self) -> np.ndarray:
        """Areas in square micrometres, (n,)."""
        return np.pi * self.long * self.short

    def only(self, keep: np.ndarray) -> "Ellipses":
        """The ellipses where ``keep`` is true."""
        return Ellipses(*(getattr(self, name)[keep] for name in ("x", "y", "long", "short", "angle", "weight")))


@dataclass(frozen=True)
class Cells:
    """All objects of a field; ``epithelial`` are tumour and adjacent hepatocytes."""

    epithelial: Ellipses
    stromal: Ellipses
    lymphocytes: Ellipses
    vacuoles: Ellipses
    red: Ellipses


def draw_cells(layout: Layout, look: Look, tissue: Tissue, rng: np.random.Generator) -> Cells:
    """Place all objects of one field; only tumour nuclei and lymphocytes depend on the look's signal."""
    vacuoles = _vacuoles(layout, look, rng)
    tumour = _tumour(layout, look, rng)
    adjacent = _round(
        _lattice(layout.side_um, tissue.adjacent_nuclei_per_mm2, 0.16, rng),
        tissue.adjacent_nuclear_radius_um,
        0.06,
        rng,
    )
    adjacent = adjacent.only(layout.at(layout.compartment, adjacent.x, adjacent.y) == Compartment.ADJACENT)
    epithelial = join(tumour, adjacent)
    in_gap = np.abs(layout.at(layout.cords, epithelial.x, epithelial.y)) < look.sinusoid_width
    epithelial = epithelial.only(~in_gap & ~_inside(vacuoles, epithelial))
    return Cells(
        epithelial=epithelial,
        stromal=_spindles(layout, tissue, rng),
        lymphocytes=_lymphocytes(layout, look, rng),
        vacuoles=vacuoles,
        red=_red_cells(layout, look, rng),
    )


def join(*parts: Ellipses) -> Ellipses:
    """Concatenate."""
    names = ("x", "y", "long", "short", "angle", "weight")
    return Ellipses(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _lattice(
    side_um: float, per_mm2: float, jitter: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points of a shaken hexagonal lattice: about even, never on top of each other."""
    pitch = 1000 * np.sqrt(2 / (np.sqrt(3) * per_mm2))
    height = pitch * np.sqrt(3) / 2
    rows, columns = np.arange(-1, side_um / height + 2), np.arange(-1, side_um / pitch + 2)
    shift = rng.uniform(0, pitch, 2)
    x = (columns[None, :] + 0.5 * (rows[:, None] % 2)) * pitch + shift[0] - pitch
    y = np.broadcast_to(rows[:, None] * height + shift[1] - height, x.shape)
    x = x.ravel() + jitter * pitch * rng.standard_normal(x.size)
    y = y.ravel() + jitter * pitch * rng.standard_normal(y.size)
    keep = (x >= 0) & (x < side_um) & (y >= 0) & (y < side_um)
    return x[keep], y[keep]


def _round(
    points: tuple[np.ndarray, np.ndarray], radius_um: float | np.ndarray, spread: float, rng: np.random.Generator
) -> Ellipses:
    """Nuclei whose log radius, and to a lesser degree shape and darkness, vary with ``spread``."""
    x, y = points
    radius = radius_um * np.exp(spread * np.clip(rng.standard_normal(x.size), -2.5, 2.5))
    stretch = np.exp(0.06 + 0.6 * spread * np.abs(rng.standard_normal(x.size)))
    weight = np.exp(0.10 * rng.standard_normal(x.size))
    angle = rng.uniform(0, np.pi, x.size)
    radius = np.minimum(radius, 10.0)
    return Ellipses(x, y, radius * np.sqrt(stretch), radius / np.sqrt(stretch), angle, weight)


def _tumour(layout: Layout, look: Look, rng: np.random.Generator) -> Ellipses:
    x, y = _lattice(layout.side_um, look.nuclei_per_mm2, 0.15, rng)
    place = smooth_noise(layout.compartment.shape, 45.0, rng)
    radius = look.nuclear_radius_um * np.exp(look.patch_log_radius_sd * layout.at(place, x, y))
    nuclei = _round((x, y), radius, look.pleomorphism, rng)
    return nuclei.only(layout.at(layout.compartment, x, y) == Compartment.TUMOUR)


def _spindles(layout: Layout, tissue: Tissue, rng: np.random.Generator) -> Ellipses:
    """Fibroblasts along the fibres of stroma and portal tracts."""
    x, y = _lattice(layout.side_um, tissue.stroma_nuclei_per_mm2, 0.3, rng)
    kind = layout.at(layout.compartment, x, y)
    keep = np.isin(kind, (Compartment.STROMA, Compartment.PORTAL)) & (layout.at(layout.vessels, x, y) < 0.3)
    x, y = x[keep], y[keep]
    slope_y, slope_x = np.gradient(layout.fibres)
    along = np.arctan2(layout.at(slope_x, x, y), -layout.at(slope_y, x, y))
    return Ellipses(
        x,
        y,
        rng.uniform(3.8, 6.5, x.size),
        rng.uniform(1.1, 1.8, x.size),
        along + 0.25 * rng.standard_normal(x.size),
        np.exp(0.1 * rng.standard_normal(x.size)),
    )


def _lymphocytes(layout: Layout, look: Look, rng: np.random.Generator) -> Ellipses:
    """Clusters, in connective tissue where there is some, and single ones anywhere in the tissue."""
    nodes = np.argwhere(layout.compartment != Compartment.BACKGROUND)
    mm2 = len(nodes) / max(layout.compartment.size, 1) * (layout.side_um / 1000) ** 2
    count = int(rng.poisson(look.lymphocytes_per_mm2 * mm2))
    if count == 0:
        return Ellipses(*(np.zeros(0) for _ in range(6)))
    connective = np.argwhere(np.isin(layout.compartment, (Compartment.STROMA, Compartment.PORTAL)))
    connective = connective if len(connective) else nodes
    pitch = layout.side_um / (layout.compartment.shape[0] - 1)
    clusters = max(1, count // 18)
    centres = connective[rng.integers(len(connective), size=clusters)] * pitch
    clustered = rng.random(count) < 0.55
    single = nodes[rng.integers(len(nodes), size=count)] * pitch + rng.uniform(0, pitch, (count, 2))
    spread = 11.0 * rng.standard_normal((count, 2))
    place = np.where(clustered[:, None], centres[rng.integers(clusters, size=count)] + spread, single)
    y, x = np.clip(place.T, 0, layout.side_um - 1e-6)
    cells = _round((x, y), 2.5, 0.07, rng)
    inside = layout.at(layout.compartment, x, y) != Compartment.BACKGROUND
    return cells.only(inside & (layout.at(layout.vessels, x, y) < 0.3))


def _vacuoles(layout: Layout, look: Look, rng: np.random.Generator) -> Ellipses:
    """Fat droplets in hepatocytes until they cover the look's share of the field."""
    mean_area = np.pi * 7.0**2 * np.exp(2 * 0.35**2)
    count = int(look.steatosis_share * layout.side_um**2 / mean_area)
    x, y = rng.uniform(0, layout.side_um, (2, count))
    radius = np.clip(7.0 * np.exp(0.35 * rng.standard_normal(count)), 2.5, 18.0)
    fat = Ellipses(x, y, radius * 1.04, radius / 1.04, rng.uniform(0, np.pi, count), np.ones(count))
    return fat.only(np.isin(layout.at(layout.compartment, x, y), (Compartment.TUMOUR, Compartment.ADJACENT)))


def _red_cells(layout: Layout, look: Look, rng: np.random.Generator) -> Ellipses:
    """Red cells in sinusoids and in the vessels of portal tracts."""
    x, y = _lattice(layout.side_um, 15_000.0, 0.25, rng)
    hepatic = np.isin(layout.at(layout.compartment, x, y), (Compartment.TUMOUR, Compartment.ADJACENT))
    sinusoid = hepatic & (np.abs(layout.at(layout.cords, x, y)) < look.sinusoid_width)
    keep = (sinusoid & (rng.random(x.size) < 0.22)) | (
        (layout.at(layout.vessels, x, y) > 0.7) & (rng.random(x.size) < 0.45)
    )
    x, y = x[keep], y[keep]
    radius = rng.uniform(2.2, 3.1, x.size)
    return Ellipses(x, y, radius, 0.85 * radius, rng.uniform(0, np.pi, x.size), np.ones(x.size))


def _inside(vacuoles: Ellipses, nuclei: Ellipses) -> np.ndarray:
    """Nuclei whose centre lies in a vacuole, bool (n,)."""
    if not len(vacuoles):
        return np.zeros(len(nuclei), bool)
    gap2 = (nuclei.x[:, None] - vacuoles.x) ** 2 + (nuclei.y[:, None] - vacuoles.y) ** 2
    return np.asarray((gap2 < vacuoles.long**2).any(axis=1))
