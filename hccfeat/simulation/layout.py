"""Where in a field lie glass, tumour, connective tissue, portal tracts and adjacent liver."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from scipy.ndimage import gaussian_filter

from hccfeat.simulation.looks import Look

GRID_UM = 4.0
"""Micrometres between the nodes of all maps of this module."""


class Compartment(IntEnum):
    """Kind of tissue at a node."""

    BACKGROUND = 0
    TUMOUR = 1
    STROMA = 2
    PORTAL = 3
    ADJACENT = 4


@dataclass(frozen=True)
class Layout:
    """Maps on a grid of ``GRID_UM``, all (h, w); the field is ``side_um`` wide and high.

    Attributes
    ----------
    compartment : int8
        ``Compartment`` of each node.
    fibres : float64
        Smooth field whose level lines are the direction of fibres.
    cords : float64
        Smooth field of unit spread; sinusoids follow its zero line.
    vessels : float64
        0 to 1, open lumen of portal vessels.
    """

    side_um: float
    compartment: np.ndarray
    fibres: np.ndarray
    cords: np.ndarray
    vessels: np.ndarray

    def share(self, *kinds: Compartment) -> np.ndarray:
        """Map that is 1 in the compartments named and 0 elsewhere, float64 (h, w)."""
        return np.isin(self.compartment, kinds).astype(np.float64)

    def at(self, grid: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Values of a map at the nodes nearest to points in micrometres."""
        row = np.clip((y / GRID_UM).astype(np.int64), 0, grid.shape[0] - 1)
        column = np.clip((x / GRID_UM).astype(np.int64), 0, grid.shape[1] - 1)
        return grid[row, column]


def smooth_noise(shape: tuple[int, ...], scale_um: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian random field of mean 0 and spread 1 on the layout's grid, correlated over ``scale_um``."""
    field = gaussian_filter(rng.standard_normal(shape), scale_um / GRID_UM, mode="reflect")
    return (field - field.mean()) / max(field.std(), 1e-9)


def core_layout(side_um: float, look: Look, rng: np.random.Generator) -> Layout:
    """A field of a tumour core: tumour with septa, sometimes a portal tract, sometimes the core's edge."""
    n = int(np.ceil(side_um / GRID_UM)) + 1
    rows, columns = np.mgrid[0:n, 0:n] * GRID_UM
    fibres, cords = smooth_noise((n, n), 45.0, rng), smooth_noise((n, n), 17.0, rng)
    compartment = np.full((n, n), Compartment.TUMOUR, np.int8)
    septum = np.abs(fibres)
    compartment[septum <= np.quantile(septum, look.stroma_share)] = Compartment.STROMA
    vessels = np.zeros((n, n))
    where = rng.uniform(0.2, 0.8, 2) * side_um
    if look.portal:
        _add_portal(compartment, vessels, rows, columns, where, rng.uniform(35, 55), rng)
    distance = _edge_distance(rows, columns, side_um, rng)
    if look.glass:
        compartment[distance + 6 * smooth_noise((n, n), 12.0, rng) < 0] = Compartment.BACKGROUND
    if look.lost_tissue:
        _lose(compartment, rows, columns, side_um, rng)
    return Layout(side_um, compartment, fibres, cords, vessels * (compartment == Compartment.PORTAL))


def slide_layout(side_um: float, look: Look, rng: np.random.Generator) -> Layout:
    """A section of its own on glass: tumour, a capsule, adjacent liver with portal tracts."""
    n = int(np.ceil(side_um / GRID_UM)) + 1
    rows, columns = np.mgrid[0:n, 0:n] * GRID_UM
    fibres, cords = smooth_noise((n, n), 45.0, rng), smooth_noise((n, n), 17.0, rng)
    compartment = np.full((n, n), Compartment.TUMOUR, np.int8)
    septum = np.abs(fibres)
    compartment[septum <= np.quantile(septum, look.stroma_share)] = Compartment.STROMA
    angle = rng.uniform(0, 2 * np.pi)
    across = np.cos(angle) * (columns - side_um / 2) + np.sin(angle) * (rows - side_um / 2)
    across += 18 * smooth_noise((n, n), 60.0, rng) - rng.uniform(0.08, 0.2) * side_um
    compartment[across > 0] = Compartment.ADJACENT
    compartment[np.abs(across) < rng.uniform(8, 16)] = Compartment.STROMA
    vessels = np.zeros((n, n))
    outside = np.argwhere(across > 60)
    for _ in range(max(1, int((side_um / 600) ** 2))):
        if len(outside):
            row, column = outside[rng.integers(len(outside))]
            where = np.array([row, column]) * GRID_UM
            _add_portal(compartment, vessels, rows, columns, where, rng.uniform(30, 50), rng)
    radius = np.hypot(rows - side_um / 2, columns - side_um / 2) / (side_um / 2)
    compartment[radius + 0.06 * smooth_noise((n, n), 50.0, rng) > 0.9] = Compartment.BACKGROUND
    if look.lost_tissue:
        _lose(compartment, rows, columns, side_um, rng)
    return Layout(side_um, compartment, fibres, cords, vessels * (compartment == Compartment.PORTAL))


def _add_portal(
    compartment: np.ndarray,
    vessels: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    where: np.ndarray,
    radius: float,
    rng: np.random.Generator,
) -> None:
    """Write one portal tract with the lumens of a vein and an artery into both maps."""
    distance = np.hypot(rows - where[0], columns - where[1])
    compartment[distance + 7 * smooth_noise(rows.shape, 14.0, rng) < radius] = Compartment.PORTAL
    for share, size in ((0.15, 0.36), (0.62, 0.14)):
        turn = rng.uniform(0, 2 * np.pi)
        row, column = where + share * radius * np.array([np.sin(turn), np.cos(turn)])
        lumen = np.hypot(rows - row, columns - column) / (size * radius)
        np.maximum(vessels, np.clip((1.15 - lumen) / 0.3, 0, 1), out=vessels)


def _edge_distance(rows: np.ndarray, columns: np.ndarray, side_um: float, rng: np.random.Generator) -> np.ndarray:
    """Distance inwards (micrometres) from the rim of a round core that cuts 5 to 35 % of the width off one side."""
    angle = rng.uniform(0, 2 * np.pi)
    core_radius = 1.2 * side_um
    depth = side_um * (0.5 - rng.uniform(0.05, 0.35))
    centre = side_um / 2 + (depth - core_radius) * np.array([np.sin(angle), np.cos(angle)])
    return core_radius - np.hypot(rows - centre[0], columns - centre[1])


def _lose(
    compartment: np.ndarray, rows: np.ndarray, columns: np.ndarray, side_um: float, rng: np.random.Generator
) -> None:
    """Leave a fragment of about 2 % of the field."""
    where = rng.uniform(0.25, 0.75, 2) * side_um
    distance = np.hypot(rows - where[0], columns - where[1])
    distance += 0.015 * side_um * smooth_noise(rows.shape, 0.04 * side_um, rng)
    compartment[distance > 0.08 * side_um] = Compartment.BACKGROUND
