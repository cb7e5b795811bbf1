"""From a volume as read to the input of a network (P2 reading 10), and back to the grid as read."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from hccfeat.config import VolumeRecipe
from hccfeat.mri.resample import Grid, inside, ras_grid, resample
from hccfeat.mri.volume import Volume, VolumeFacts, incomplete, inconsistent, unreadable

Centre = Literal["lesion", "liver", "body"]


@dataclass(frozen=True, eq=False)
class Crop:
    """What is known of the place to cut out; all of it on the grid of the volume as read.

    Attributes
    ----------
    lesion_mask, liver_mask : ndarray of bool, shape (X, Y, Z), or None
    lesion_box : tuple of six int or None
        x0, y0, z0, x1, y1, z1: voxel indices of its first corner and one past its last. A lesion mask wins over it.
    """

    lesion_mask: NDArray[np.bool_] | None = None
    liver_mask: NDArray[np.bool_] | None = None
    lesion_box: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class PreparedVolume:
    """The input of a network.

    Attributes
    ----------
    array : ndarray of float32, shape (D, H, W)
        z-scores within the body; axes z, y, x to the head, to the front and to the patient's right.
    affine : ndarray of float64, shape (4, 4)
        From voxel indices (x, y, z) to RAS millimetres.
    centred_on : str
        "lesion", "liver" or "body".
    facts : VolumeFacts
        Of the volume as read.
    """

    array: NDArray[np.float32]
    affine: NDArray[np.float64]
    centred_on: Centre
    facts: VolumeFacts


def prepare_volume(volume: Volume, crop: Crop, recipe: VolumeRecipe, entity: str) -> PreparedVolume:
    """Orient to RAS, resample, normalise within the body, and crop or pad (P2 reading 10).

    Orientation and spacing are one linear interpolation. The body is what Otsu's threshold (of the square roots of
    intensities) separates from air: its largest piece, with holes filled slice by slice. Voxels beyond the volume
    get the value of air.

    Parameters
    ----------
    volume : Volume
    crop : Crop
    recipe : VolumeRecipe
    entity : str
        What an error names.

    Returns
    -------
    PreparedVolume
        Equal inputs give equal bytes. The centre lies within half a voxel of the middle.

    Raises
    ------
    VolumeError
        ``INCONSISTENT`` (a mask of another shape, a lesion outside the volume), ``UNREADABLE`` (an empty mask, no
        body), ``INCOMPLETE`` (nothing given of what the recipe centres on).
    """
    shape = volume.facts.shape
    given = _given_centre(crop, recipe, shape, entity)
    # The recipe has z, y, x; grids have x, y, z.
    grid = ras_grid(volume.affine, shape, recipe.spacing_mm[::-1])
    values = resample(volume.data, volume.affine, grid)
    within = inside(volume.affine, shape, grid)
    body = _body(values, within)
    if body is None or values[body].min() == values[body].max():
        problem = "no body stands out from the air around it, or all of it has one value"
        raise unreadable(entity, problem, "Check that it is an image of a patient, not a mask.")
    scores, air = _normalised(values, within, body, _air(volume), recipe.clip_sd)
    if given is None:
        centred_on: Centre = "body"
        centre = np.array(ndimage.center_of_mass(body))
    else:
        centred_on = given[0]
        world = volume.affine @ np.append(given[1], 1.0)
        centre = (np.linalg.inv(grid.affine) @ world)[:3]
    wanted = recipe.shape[::-1]
    # The middle of an even side lies between two voxels.
    start = np.floor(centre - (np.array(wanted) - 1) / 2 + 0.5).astype(int)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ start
    array = np.ascontiguousarray(_cut(scores, start, wanted, air).transpose(2, 1, 0))
    return PreparedVolume(array, affine, centred_on, volume.facts)


def to_input_grid(values: NDArray[np.floating], prepared: PreparedVolume, volume: Volume) -> NDArray[np.float32]:
    """Carry a map from the prepared grid back to the grid of the volume as read, for overlays.

    Parameters
    ----------
    values : ndarray of float, shape (D, H, W)
        The shape of ``prepared.array``.
    prepared : PreparedVolume
    volume : Volume
        The volume it was prepared from.

    Returns
    -------
    ndarray of float32, shape (X, Y, Z)
        Linear between the voxels; 0 outside the prepared grid.
    """
    source = np.ascontiguousarray(values.transpose(2, 1, 0), dtype=np.float32)
    grid = Grid(volume.affine, volume.facts.shape)
    sides = (source.shape[0], source.shape[1], source.shape[2])
    moved = resample(source, prepared.affine, grid)
    return np.where(inside(prepared.affine, sides, grid), moved, np.float32(0.0))


def _given_centre(
    crop: Crop, recipe: VolumeRecipe, shape: tuple[int, int, int], entity: str
) -> tuple[Centre, NDArray[np.float64]] | None:
    """Return what the crop is centred on and its voxel index; None for the body."""
    for centre in recipe.centre:
        if centre == "body":
            return None
        mask = crop.lesion_mask if centre == "lesion" else crop.liver_mask
        if mask is not None:
            return centre, _centroid(mask, f"the {centre} mask", shape, entity)
        if centre == "lesion" and crop.lesion_box is not None:
            return centre, _box_centre(crop.lesion_box, shape, entity)
    problem = f"nothing is given of what the crop is to be centred on ({', '.join(recipe.centre)})"
    raise incomplete(entity, problem, 'Give a mask or a box, or add "body" to volumes.centre of the recipe.')


def _centroid(mask: NDArray[np.bool_], what: str, shape: tuple[int, int, int], entity: str) -> NDArray[np.float64]:
    if mask.shape != shape:
        sizes = " and ".join(" x ".join(str(side) for side in sides) for sides in (mask.shape, shape))
        raise inconsistent(entity, f"{what} and the volume differ in size ({sizes})", "Draw it on this volume.")
    if not mask.any():
        raise unreadable(entity, f"{what} is empty", "Check the mask, or leave it out of the manifest.")
    return np.array([float(index.mean()) for index in np.nonzero(mask)])


def _box_centre(box: tuple[int, ...], shape: tuple[int, int, int], entity: str) -> NDArray[np.float64]:
    remedy = "Write x0 y0 z0 x1 y1 z1 in voxels of this volume, the last three one past the end."
    low, high = np.array(box[:3]), np.array(box[3:])
    if len(box) != 6 or (low >= high).any():
        raise inconsistent(entity, f"the lesion box ({' '.join(str(side) for side in box)}) is empty", remedy)
    if (low < 0).any() or (high > shape).any():
        size = " x ".join(str(side) for side in shape)
        corners = " ".join(str(side) for side in box)
        raise inconsistent(entity, f"the lesion box ({corners}) lies outside the volume of {size} voxels", remedy)
    return np.asarray((low + high - 1) / 2)


def _body(values: NDArray[np.float32], within: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    # Of square roots, so that bright fat beside a coil does not pull the threshold above the organs.
    lowest = values[within].min()
    roots = np.sqrt(np.maximum(values - lowest, 0))
    pieces, count = ndimage.label((roots > threshold_otsu(roots[within])) & within)
    if count == 0:
        return None
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    body = pieces == int(sizes.argmax())
    for z in range(body.shape[2]):
        body[:, :, z] = ndimage.binary_fill_holes(body[:, :, z])
    return np.asarray(body & within)


def _air(volume: Volume) -> float:
    """Intensity of nothing: 0, or the lowest where no voxel is as low (or as high) as 0."""
    low, high = float(volume.data.min()), float(volume.data.max())
    return 0.0 if low <= 0 <= high else low


def _normalised(
    values: NDArray[np.float32], within: NDArray[np.bool_], body: NDArray[np.bool_], air: float, clip_sd: float
) -> tuple[NDArray[np.float32], float]:
    """Return clipped z-scores, with air outside the field, and the value of air."""
    inner = values[body].astype(np.float64)
    mean, sd = float(inner.mean()), float(inner.std())
    scores = np.clip((values - np.float32(mean)) / np.float32(sd), -clip_sd, clip_sd)
    air_score = float(np.clip((air - mean) / sd, -clip_sd, clip_sd))
    scores[~within] = air_score
    return scores, air_score


def _cut(
    scores: NDArray[np.float32], start: NDArray[np.int_], wanted: tuple[int, ...], air: float
) -> NDArray[np.float32]:
    cut = np.full(wanted, air, np.float32)
    stop = start + wanted
    source = tuple(slice(max(0, int(a)), max(0, int(b))) for a, b in zip(start, stop, strict=True))
    piece = scores[source]
    offset = [max(0, -int(a)) for a in start]
    cut[tuple(slice(a, a + side) for a, side in zip(offset, piece.shape, strict=True))] = piece
    return cut
