"""Rendering one simulated exam: PRE and HBP, not registered to each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hccfeat.config import PHASES
from hccfeat.simulation.mri.anatomy import (
    LIVER,
    Anatomy,
    Array,
    Frame,
    Pose,
    body_levels,
    draw_anatomy,
    draw_frame,
    draw_poses,
    draw_waves,
    inside,
    near,
    paint,
    scanner_positions,
    shell,
)
from hccfeat.simulation.mri.latents import EXAM, Latents
from hccfeat.simulation.mri.lesion import Extent, Lesion, draw_lesion, extent, reach_mm, texture
from hccfeat.simulation.mri.parameters import MriParameters, Seed, stream

SIGNS = {"pre": (-1, 1, 1), "hbp": (1, 1, 1)}
"""Directions of the axes of a volume's array in RAS, by phase, as NIfTI files have them."""

DICOM_SIGNS = {"pre": (-1, -1, 1), "hbp": (-1, -1, 1)}
"""The same as axial DICOM slices have them: columns to the left, rows to the back, slices to the head."""

OUTSIDE_CAVITY = ("muscle_right", "muscle_left", "vertebra", "canal")
"""Organs that reach into the wall of the body; the others end at it."""

_CORE = 0.5
"""A voxel with at least this share of a tissue is in its mask."""


@dataclass(frozen=True, eq=False)
class RenderedPhase:
    """One volume.

    Attributes
    ----------
    data : int16 (x, y, z)
    affine : float64 (4, 4)
        Voxel to RAS, millimetres.
    lesion_mask, liver_mask : bool (x, y, z)
        The liver's mask holds the lesion too.
    centre_mm : float64 (3,)
        The lesion's centre, RAS.
    diameter_mm : float
        Of the lesion as this phase shows it.
    noise : float
        Standard deviation of the voxels' noise.
    """

    data: NDArray[np.int16]
    affine: NDArray[np.float64]
    lesion_mask: NDArray[np.bool_]
    liver_mask: NDArray[np.bool_]
    centre_mm: NDArray[np.float64]
    diameter_mm: float
    noise: float


@dataclass(frozen=True, eq=False)
class RenderedExam:
    """Both volumes of one patient."""

    pre: RenderedPhase
    hbp: RenderedPhase

    def phase(self, name: str) -> RenderedPhase:
        """Volume of phase ``pre`` or ``hbp``."""
        return {"pre": self.pre, "hbp": self.hbp}[name]


@dataclass(frozen=True)
class _Shown:
    """How the lesion looks on one phase; texture is a share of ``texture_of``."""

    margin: float
    size: float
    halo: float
    texture: float
    texture_of: str


def render_exam(
    parameters: MriParameters, latents: Latents, row: int, seed: Seed, *, dicom: bool = False
) -> RenderedExam:
    """Render the exam of one patient from random numbers of its own, so that any order gives the same voxels.

    Parameters
    ----------
    parameters : MriParameters
        The preset's grids among them.
    latents : Latents
        Of the cohort; the images depend on ``signals`` and ``diameter_mm`` of the row and on nothing else of it.
    row : int
        The patient, from 0.
    seed : int or sequence of int
    dicom : bool
        Axes as in axial DICOM slices.
    """
    rng = stream(seed, EXAM, row)
    anatomy = draw_anatomy(parameters, rng)
    lesion = draw_lesion(parameters, anatomy, float(latents.diameter_mm[row]), rng)
    poses = draw_poses(parameters, rng)
    signs = DICOM_SIGNS if dicom else SIGNS
    volumes = []
    for phase, pose in zip(PHASES, poses, strict=True):
        frame = draw_frame(parameters, parameters.grids.of(phase), anatomy, pose, signs[phase], rng)
        shown = _shown(parameters, latents, row, phase)
        volumes.append(_render_phase(parameters, phase, (anatomy, pose, lesion), frame, shown, rng))
    return RenderedExam(*volumes)


def _shown(parameters: MriParameters, latents: Latents, row: int, phase: str) -> _Shown:
    value = {name: latents.feature(parameters, name, row) for name in parameters.image.features}
    if phase == "pre":
        return _Shown(parameters.lesion.plain_margin, value["size"], 0.0, value["texture"], "liver_right")
    return _Shown(value["margin"], 1.0, value["halo"], parameters.lesion.plain_texture, "lesion")


def _render_phase(
    parameters: MriParameters,
    phase: str,
    patient: tuple[Anatomy, Pose, Lesion],
    frame: Frame,
    shown: _Shown,
    rng: np.random.Generator,
) -> RenderedPhase:
    anatomy, pose, lesion = patient
    level = _levels(parameters, phase, rng)
    centre = scanner_positions(anatomy, pose, lesion.centre[None])[0]
    image, liver = _paint_body(parameters, anatomy, pose, frame, level)
    part = near(frame, centre, np.full(3, reach_mm(lesion, shown.margin, shown.size)))
    place = frame.place[(slice(None), *part)]
    found = extent(lesion, place, shown.margin, shown.size, float(frame.spacing_mm.min()))
    grain = texture(parameters.lesion, place, rng)
    _paint_lesion(image[part], liver[part], found, grain, shown, level)
    lesion_mask = np.zeros(image.shape, np.bool_)
    lesion_mask[part] = found.outwards <= 0
    # A lesion smaller than a voxel still has one.
    lesion_mask[_nearest(frame, centre)] = True
    noise = level["liver_right"] * rng.uniform(*parameters.scan.noise)
    data, noise = _scan(parameters, frame, image, noise, rng)
    return RenderedPhase(
        data,
        frame.affine,
        lesion_mask,
        (liver >= _CORE) | lesion_mask,
        centre,
        2 * lesion.radius_mm * shown.size,
        noise,
    )


def _levels(parameters: MriParameters, phase: str, rng: np.random.Generator) -> dict[str, float]:
    """Intensities of all tissues in this volume; both lobes are one liver."""
    known = {name: organ.of(phase) for name, organ in parameters.organs.items()}
    known |= {name: tissue.of(phase) for name, tissue in parameters.tissues.items()}
    factors = body_levels(parameters.body, rng, list(known))
    level = {name: value * factors[name] for name, value in known.items()}
    return level | {"liver_left": level["liver_right"]}


def _paint_body(
    parameters: MriParameters, anatomy: Anatomy, pose: Pose, frame: Frame, level: dict[str, float]
) -> tuple[Array, Array]:
    """Everything but the lesion, and the liver's share of each voxel."""
    place, edge = frame.place, float(frame.spacing_mm.min())
    image = np.full(place.shape[1:], level["air"], np.float32)
    depth = 0.0
    for name, thickness in (("fat", anatomy.fat_mm), ("wall", anatomy.wall_mm), ("cavity", 0.0)):
        within = shell(anatomy, place, edge, depth)
        paint(image, within, level[name])
        depth += thickness
    cavity, liver = within, np.zeros_like(image)
    centres = scanner_positions(anatomy, pose, np.array([anatomy.centres[name] for name in parameters.organs]))
    for name, centre in zip(parameters.organs, centres, strict=True):
        part = near(frame, centre, anatomy.radii[name])
        share = inside(place[(slice(None), *part)], anatomy.centres[name], anatomy.radii[name], edge)
        if name not in OUTSIDE_CAVITY:
            share *= cavity[part]
        if name in LIVER:
            axes = [axis[one] - shift for axis, one, shift in zip(frame.axes, part, pose.shift, strict=True)]
            paint(image[part], share, _liver_level(anatomy, axes, level))
            np.maximum(liver[part], share, out=liver[part])
        else:
            paint(image[part], share, level[name])
            liver[part] *= 1 - share
    return image, liver


def _liver_level(anatomy: Anatomy, axes: list[NDArray[np.float64]], level: dict[str, float]) -> Array:
    """Intensity of the liver with its unevenness and vessels, on a grid of axes that move with the patient."""
    base = level["liver_right"] * (1 + np.float32(anatomy.mottle_share) * anatomy.mottle.over(axes)[0])
    one, other = anatomy.vessels.over(axes)
    from_vessel = (one * one + other * other) * np.float32(1 / anatomy.vessel_width**2)
    vessel = np.clip(np.float32(1.5) - from_vessel, 0, 1)
    paint(base, vessel, level["vessel"])
    return base


def _paint_lesion(
    image: Array, liver: Array, found: Extent, grain: Array, shown: _Shown, level: dict[str, float]
) -> None:
    """Darken the liver round the lesion, then paint the lesion with its texture."""
    depth = shown.halo * (level["liver_right"] - level["lesion"])
    image -= np.float32(depth) * found.halo * liver
    spread = np.float32(shown.texture * level[shown.texture_of])
    paint(image, found.lesion, np.maximum(level["lesion"] + spread * grain, 0))


def _nearest(frame: Frame, centre: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(int(np.abs(axis - middle).argmin()) for axis, middle in zip(frame.axes, centre, strict=True))


def _scan(
    parameters: MriParameters, frame: Frame, image: Array, noise: float, rng: np.random.Generator
) -> tuple[NDArray[np.int16], float]:
    """Shading, gain and noise; rounded to int16."""
    scan = parameters.scan
    bias = draw_waves(1, 2, scan.bias_wavelength_mm, rng).over(frame.axes)[0]
    bias *= np.float32(rng.uniform(*scan.bias) / 2)
    bias += np.float32(1)
    gain = np.float32(np.exp(scan.gain_log_sd * rng.standard_normal()))
    image = image * bias
    image += np.float32(noise) * rng.standard_normal(image.shape, dtype=np.float32)
    np.abs(image, out=image)
    image *= gain
    return np.rint(np.clip(image, 0, 32767)).astype(np.int16), float(noise * gain)
