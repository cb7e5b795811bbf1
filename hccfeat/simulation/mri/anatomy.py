"""The body of one simulated patient, its pose in a scan, and painting its organs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hccfeat.simulation.mri.parameters import BodyModel, Grid, MriParameters, Pair

Array = NDArray[np.float32]
_ROOM_MM = 24.0
LIVER = ("liver_left", "liver_right")


@dataclass(frozen=True, eq=False)
class Waves:
    """Smooth fields: each a sum of products of one cosine per axis; wave numbers and phases (fields, terms, 3)."""

    number: NDArray[np.float64]
    phase: NDArray[np.float64]

    def terms(self, axes: list[NDArray[np.float64]]) -> list[Array]:
        """Cosines (fields, terms, points of the axis) of each axis, x scaled for a spread of 1."""
        found = [
            np.cos(self.number[:, :, j, None] * axis + self.phase[:, :, j, None]).astype(np.float32)
            for j, axis in enumerate(axes)
        ]
        return [found[0] * np.float32(np.sqrt(8.0 / self.number.shape[1])), *found[1:]]

    def over(self, axes: list[NDArray[np.float64]]) -> Array:
        """Values (fields, x, y, z) on the grid of three axes in millimetres; spread about 1."""
        return woven(self.terms(axes))

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values (n, fields) at points (n, 3)."""
        terms = np.cos(self.number * points[:, None, None, :] + self.phase).prod(axis=-1)
        return np.sqrt(8.0 / self.number.shape[1]) * terms.sum(axis=-1)


def woven(terms: list[Array]) -> Array:
    """Sum over terms the products of one function per axis: thrice (fields, terms, points) to (fields, x, y, z)."""
    x, y, z = terms
    plane = x[:, :, :, None] * y[:, :, None, :]
    whole = np.matmul(plane.reshape(*plane.shape[:2], -1).transpose(0, 2, 1), z)
    return whole.reshape(len(x), x.shape[2], y.shape[2], z.shape[2])


def draw_waves(fields: int, terms: int, wavelength_mm: Pair, rng: np.random.Generator) -> Waves:
    """Draw fields whose wavelengths along each axis lie in a range."""
    shape = (fields, terms, 3)
    return Waves(2 * np.pi / rng.uniform(*wavelength_mm, shape), rng.uniform(0, 2 * np.pi, shape))


@dataclass(frozen=True, eq=False)
class Anatomy:
    """One patient; nothing here depends on S, I or K.

    ``centres`` and ``radii`` are millimetres of the unbent patient, by organ; ``half`` the body's half axes.
    """

    half: NDArray[np.float64]
    fat_mm: float
    wall_mm: float
    centres: dict[str, NDArray[np.float64]]
    radii: dict[str, NDArray[np.float64]]
    bend_mm: float
    bend: Waves
    vessels: Waves
    vessel_width: float
    mottle_share: float
    mottle: Waves


@dataclass(frozen=True, eq=False)
class Pose:
    """Where the patient lies in a scan: shift (mm), rotation, and a smooth deformation by breathing."""

    shift: NDArray[np.float64]
    turn: NDArray[np.float64]
    breath_mm: float
    breath: Waves


@dataclass(frozen=True, eq=False)
class Frame:
    """A grid in a scan: its three axes and affine (RAS mm), and each voxel's place in the patient, (3, x, y, z)."""

    axes: list[NDArray[np.float64]]
    affine: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]
    place: Array


def draw_anatomy(parameters: MriParameters, rng: np.random.Generator) -> Anatomy:
    """Draw one patient's body."""
    body = parameters.body
    half = np.array([rng.uniform(*body.half_width_mm), rng.uniform(*body.half_depth_mm)])
    scale = np.append(half / body.standard_mm, 1.0)
    centres, radii = {}, {}
    for name, organ in parameters.organs.items():
        centres[name] = scale * organ.centre + organ.shift_sd * rng.standard_normal(3)
        radii[name] = scale * organ.radii * np.exp(organ.size_sd * rng.standard_normal(3))
    return Anatomy(
        half=half,
        fat_mm=rng.uniform(*body.fat_mm),
        wall_mm=rng.uniform(*body.wall_mm),
        centres=centres,
        radii=radii,
        bend_mm=rng.uniform(*body.bend_mm),
        bend=draw_waves(3, 3, body.bend_wavelength_mm, rng),
        vessels=draw_waves(2, 4, body.vessel_wavelength_mm, rng),
        vessel_width=rng.uniform(*body.vessel_width),
        mottle_share=rng.uniform(*body.mottle),
        mottle=draw_waves(1, 12, body.mottle_wavelength_mm, rng),
    )


def draw_poses(parameters: MriParameters, rng: np.random.Generator) -> tuple[Pose, Pose]:
    """Draw how the patient lies on PRE and, moved and turned, on HBP."""
    scan = parameters.scan
    direction = rng.standard_normal(3)
    moved = rng.uniform(*scan.shift_mm) * direction / np.linalg.norm(direction)
    angles = np.deg2rad(scan.turn_degrees) * rng.uniform(-1, 1, (2, 3))
    breath = [draw_waves(3, 2, scan.breath_wavelength_mm, rng) for _ in range(2)]
    pre = Pose(np.zeros(3), _rotation(angles[0]), scan.breath_mm, breath[0])
    return pre, Pose(moved, _rotation(angles[1]), scan.breath_mm, breath[1])


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[one, one] = step[other, other] = np.cos(angle)
        step[one, other], step[other, one] = -np.sin(angle), np.sin(angle)
        turn = step @ turn
    return turn


def draw_frame(
    parameters: MriParameters,
    grid: Grid,
    anatomy: Anatomy,
    pose: Pose,
    signs: tuple[int, int, int],
    rng: np.random.Generator,
) -> Frame:
    """Draw a grid over the patient: voxel size and position vary; ``signs`` are its axes' directions in RAS."""
    scan = parameters.scan
    spacing = np.array(grid.spacing_mm) * (1 + scan.spacing_jitter * rng.uniform(-1, 1))
    middle = np.array(scan.position_mm) * rng.uniform(-1, 1, 3)
    axes = [
        middle[j] + signs[j] * spacing[j] * (np.arange(count) - (count - 1) / 2)
        for j, count in enumerate(grid.shape)
    ]
    affine = np.diag([*(spacing * signs), 1.0])
    affine[:3, 3] = [axis[0] for axis in axes]
    return Frame(axes, affine, spacing, _places(anatomy, pose, axes))


def _places(anatomy: Anatomy, pose: Pose, axes: list[NDArray[np.float64]]) -> Array:
    """Where in the patient each voxel lies, float32 (3, x, y, z): turned back, then bent."""
    bend, breath = anatomy.bend.terms(axes), pose.breath.terms(axes)
    bend[0] *= np.float32(anatomy.bend_mm / 2)
    breath[0] *= np.float32(pose.breath_mm / 2)
    terms = []
    for j, (axis, shift) in enumerate(zip(axes, pose.shift, strict=True)):
        linear = np.ones((3, 3, len(axis)), np.float32)
        linear[:, j] = (pose.turn[:, j, None] * (axis - shift)).astype(np.float32)
        terms.append(np.concatenate([bend[j], breath[j], linear], axis=1))
    return woven(terms)


def scanner_positions(anatomy: Anatomy, pose: Pose, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where in the scan (RAS mm) points of the patient (n, 3) lie: the inverse of ``place``, by iteration."""
    found = points + pose.shift
    for _ in range(12):
        bent = anatomy.bend_mm / 2 * anatomy.bend.at(found) + pose.breath_mm / 2 * pose.breath.at(found)
        found = (points - bent) @ pose.turn + pose.shift
    return found


def near(frame: Frame, centre: NDArray[np.float64], reach_mm: NDArray[np.float64]) -> tuple[slice, ...]:
    """The part of the grid within reach of a point of the scan, with room for what bends and turns."""
    slices = []
    for axis, middle, reach in zip(frame.axes, centre, reach_mm, strict=True):
        found = np.flatnonzero(np.abs(axis - middle) <= 1.15 * reach + _ROOM_MM)
        slices.append(slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 0))
    return tuple(slices)


def inside(place: Array, centre: NDArray[np.float64], radii: NDArray[np.float64], edge_mm: float) -> Array:
    """Share of an ellipsoid in each voxel, 0 to 1, rising over ``edge_mm`` across its surface."""
    squared = np.zeros(place.shape[1:], np.float32)
    for axis, middle, radius in zip(place, centre, radii, strict=True):
        part = axis * np.float32(1 / radius)
        part -= np.float32(middle / radius)
        part *= part
        squared += part
    steep = np.float32(0.5 * radii.min() / edge_mm)
    squared *= -steep
    squared += steep + np.float32(0.5)
    return np.clip(squared, 0, 1, out=squared)


def paint(image: Array, share: Array, level: float | Array) -> None:
    """Mix a tissue into the image."""
    image += share * (level - image)


def shell(anatomy: Anatomy, place: Array, edge_mm: float, depth_mm: float) -> Array:
    """Share of the body deeper than ``depth_mm`` under the skin; its section lies between ellipse and rectangle."""
    x, y = (place[j] * np.float32(1 / (anatomy.half[j] - depth_mm)) for j in range(2))
    x *= x
    y *= y
    steep = np.float32(0.25 * (anatomy.half.min() - depth_mm) / edge_mm)
    squared = x + y
    squared += x * x + y * y
    return np.clip((np.float32(2) - squared) * (steep / 2) + np.float32(0.5), 0, 1)


def body_levels(body: BodyModel, rng: np.random.Generator, names: list[str]) -> dict[str, float]:
    """Factors of the tissues' intensities in one phase."""
    return {name: float(np.exp(body.level_log_sd * rng.standard_normal())) for name in names}
