"""One interpolation from any grid onto any other, by MONAI."""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hccfeat.mri.volume import spacing_of

SMOOTH_ABOVE = 1.5
"""Coarsening an axis by more than this smooths along it first, so that fine structure does not alias."""
_TRUNCATE = 3.0


class Grid(NamedTuple):
    """Voxels in space.

    Attributes
    ----------
    affine : ndarray of float64, shape (4, 4)
        From voxel indices to RAS millimetres.
    shape : tuple of int
        Voxels along each axis.
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]


def ras_grid(affine: NDArray[np.float64], shape: tuple[int, int, int], spacing_mm: tuple[float, ...]) -> Grid:
    """Return the grid along the axes R, A, S that covers all voxels of another grid, centred on it.

    Parameters
    ----------
    affine : ndarray of float64, shape (4, 4)
    shape : tuple of int
    spacing_mm : tuple of float
        Wanted spacing along x, y, z.

    Returns
    -------
    Grid
        If the other grid has these axes (in any order and direction) and this spacing, its voxels are the same.
    """
    spacing = np.array(spacing_mm)
    corners = np.array(list(itertools.product(*((-0.5, side - 0.5) for side in shape))))
    world = corners @ affine[:3, :3].T + affine[:3, 3]
    low, high = world.min(axis=0), world.max(axis=0)
    sides = np.maximum(1, np.round((high - low) / spacing)).astype(int)
    target = np.diag([*spacing, 1.0])
    target[:3, 3] = (low + high) / 2 - spacing * (sides - 1) / 2
    return Grid(target, (int(sides[0]), int(sides[1]), int(sides[2])))


def resample(data: NDArray[np.float32], affine: NDArray[np.float64], grid: Grid) -> NDArray[np.float32]:
    """Interpolate linearly at the voxel centres of a grid, smoothing before axes that become much coarser.

    Parameters
    ----------
    data : ndarray of float32, shape (X, Y, Z)
    affine : ndarray of float64, shape (4, 4)
    grid : Grid

    Returns
    -------
    ndarray of float32, shape ``grid.shape``
        Outside the data the nearest voxel's value; see :func:`inside`.
    """
    # MONAI takes seconds to import.
    import torch
    from monai.data.meta_tensor import MetaTensor
    from monai.transforms.spatial.array import SpatialResample

    smooth = np.ascontiguousarray(ndimage.gaussian_filter(data, _sigmas(affine, grid), truncate=_TRUNCATE))
    image = MetaTensor(torch.from_numpy(smooth)[None], affine=torch.tensor(affine))
    # Double coordinates: single ones shift a point by a hundredth of a voxel.
    move = SpatialResample(mode="bilinear", padding_mode="border", align_corners=False, dtype=np.float64)
    moved = move(image, dst_affine=torch.tensor(grid.affine), spatial_size=grid.shape)
    return np.asarray(moved[0].numpy(), dtype=np.float32)


def inside(affine: NDArray[np.float64], shape: tuple[int, int, int], grid: Grid) -> NDArray[np.bool_]:
    """Return which voxel centres of a grid lie within the voxels of another, bool ``grid.shape``."""
    to_index = np.linalg.inv(affine) @ grid.affine
    x, y, z = np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    result = np.ones(grid.shape, bool)
    for axis, side in enumerate(shape):
        index = to_index[axis, 0] * x + to_index[axis, 1] * y + to_index[axis, 2] * z + to_index[axis, 3]
        result &= (index >= -0.5 - 1e-6) & (index <= side - 0.5 + 1e-6)
    return result


def _sigmas(affine: NDArray[np.float64], grid: Grid) -> list[float]:
    """Standard deviations in voxels for each axis, ``(factor - 1) / 2`` as is usual between aliasing and blur."""
    directions = affine[:3, :3] / spacing_of(affine)
    wanted = np.linalg.norm(directions.T * spacing_of(grid.affine), axis=1)
    factors = wanted / spacing_of(affine)
    return [0.0 if factor <= SMOOTH_ABOVE else float(factor - 1) / 2 for factor in factors]
