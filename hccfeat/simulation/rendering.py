"""An H&E-like field: layout and cells become stain concentrations, and these RGB."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from hccfeat.simulation import defects
from hccfeat.simulation.cells import Cells, draw_cells
from hccfeat.simulation.layout import GRID_UM, Compartment, Layout, core_layout, slide_layout
from hccfeat.simulation.looks import Look
from hccfeat.simulation.painting import enlarge, stamp
from hccfeat.simulation.parameters import Scanner, Tissue
from hccfeat.simulation.staining import develop, to_rgb


@dataclass(frozen=True)
class Field:
    """A rendered field: ``rgb`` uint8 (H, W, 3) at ``mpp`` micrometres per pixel, and what is in it."""

    rgb: np.ndarray
    mpp: float
    layout: Layout
    cells: Cells


@dataclass(frozen=True)
class _Maps:
    """Shares of each pixel, float32 (H, W), and textures of mean 0 and spread 1."""

    tissue: np.ndarray
    connective: np.ndarray
    adjacent: np.ndarray
    gap: np.ndarray
    fibre: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray


def render(
    side_um: float,
    mpp: float,
    look: Look,
    tissue: Tissue,
    scanner: Scanner,
    rng: np.random.Generator,
    *,
    slide: bool,
) -> Field:
    """Render one square field.

    Parameters
    ----------
    side_um : float
        Side of the field, micrometres.
    mpp : float
        Micrometres per pixel of the result.
    look, tissue, scanner
        What it shows; only ``look``'s nuclear features and lymphocytes depend on A.
    rng : numpy.random.Generator
        The image's own.
    slide : bool
        A section on glass with tumour edge and adjacent liver instead of a core's field.
    """
    layout = (slide_layout if slide else core_layout)(side_um, look, rng)
    cells = draw_cells(layout, look, tissue, rng)
    pixels = round(side_um / mpp)
    maps = _maps(layout, look, pixels, mpp, rng)
    concentrations = _paint(cells, maps, mpp)
    concentrations = develop(concentrations, maps.tissue, look.stain)
    concentrations = defects.blur(concentrations, scanner.blur_um, mpp)
    if look.fold:
        concentrations = defects.fold(concentrations, mpp, rng)
    if look.out_of_focus:
        concentrations = defects.out_of_focus(concentrations, mpp)
    elif look.blurred_area:
        concentrations = defects.blurred_area(concentrations, mpp, rng)
    rgb = to_rgb(concentrations, look.stain)
    if look.pen:
        rgb = defects.pen(rgb, mpp, rng)
    return Field(expose(rgb, look.stain.camera_sd, rng), mpp, layout, cells)


def expose(rgb: np.ndarray, camera_sd: float, rng: np.random.Generator) -> np.ndarray:
    """Add the camera's noise and round to uint8."""
    noise = rng.standard_normal(rgb.shape, dtype=np.float32)
    return np.clip(np.rint(rgb + camera_sd * noise), 0, 255).astype(np.uint8)


def _maps(layout: Layout, look: Look, pixels: int, mpp: float, rng: np.random.Generator) -> _Maps:
    def map_of(grid: np.ndarray) -> np.ndarray:
        return enlarge(grid, pixels, GRID_UM, mpp)

    def sharpen(share: np.ndarray) -> np.ndarray:
        return np.clip((share - 0.5) * 2.5 + 0.5, 0, 1)

    fine = _texture(pixels, 1.1 / mpp, rng)
    coarse = _texture(pixels, 3.5 / mpp, rng)
    tissue = sharpen(map_of(1 - layout.share(Compartment.BACKGROUND)) + 0.06 * coarse)
    connective = sharpen(map_of(layout.share(Compartment.STROMA, Compartment.PORTAL)) + 0.08 * coarse)
    slit = np.clip((look.sinusoid_width + 0.02 * fine - np.abs(map_of(layout.cords))) / 0.06 + 0.5, 0, 1)
    vessels = np.clip(map_of(layout.vessels) * 1.6 - 0.3, 0, 1)
    gap = np.maximum(slit * (1 - connective), vessels)
    fibre = np.cos(34 * map_of(layout.fibres) + 1.5 * coarse) + 0.5 * fine
    return _Maps(tissue, connective, map_of(layout.share(Compartment.ADJACENT)), gap, fibre, fine, coarse)


def _texture(pixels: int, sigma_px: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal((pixels, pixels), dtype=np.float32)
    noise = gaussian_filter(noise, sigma_px, mode="wrap", truncate=3.0)
    return noise / noise.std()


def _paint(cells: Cells, maps: _Maps, mpp: float) -> np.ndarray:
    """Concentrations (2, H, W) before staining."""
    shape = maps.tissue.shape
    epithelial, dark, fat, red = (np.zeros(shape, np.float32) for _ in range(4))
    stamp(epithelial, cells.epithelial, mpp, rim=0.42, ragged=0.06)
    stamp(dark, cells.stromal, mpp)
    stamp(dark, cells.lymphocytes, mpp, rim=0.1)
    stamp(fat, cells.vacuoles, mpp, ragged=0.05)
    stamp(red, cells.red, mpp)
    hepatic = 1 - maps.connective
    eosin = hepatic * (0.60 + 0.10 * maps.adjacent) * (1 + 0.14 * maps.fine + 0.10 * maps.coarse)
    eosin += maps.connective * (0.62 + 0.16 * maps.fibre)
    haematoxylin = hepatic * 0.13 * (1 + 0.30 * maps.fine + 0.12 * maps.coarse) + maps.connective * 0.10
    open_share = (1 - 0.94 * maps.gap) * (1 - 0.96 * np.minimum(fat, 1))
    eosin, haematoxylin = eosin * open_share + 0.85 * red, haematoxylin * open_share + 0.06 * red
    chromatin = np.maximum(1.30 * epithelial * (1 + 0.22 * maps.fine), 1.65 * dark * (1 + 0.10 * maps.fine))
    nuclear = np.minimum(np.maximum(epithelial, dark) * 1.6, 1)
    haematoxylin = haematoxylin * (1 - 0.6 * nuclear) + chromatin
    eosin = np.maximum(eosin * (1 - 0.45 * nuclear), 0.25 * nuclear)
    return np.maximum(np.stack([haematoxylin, eosin]) * maps.tissue, 0).astype(np.float32)


def enlarged(field: Field, pixels: int) -> Field:
    """The field sampled more finely, ``pixels`` wide; as it is if it has that size."""
    if field.rgb.shape[0] == pixels:
        return field
    mpp = field.layout.side_um / pixels
    rgb = np.empty((pixels, pixels, 3), np.uint8)
    for channel in range(3):
        rgb[..., channel] = np.rint(enlarge(field.rgb[..., channel], pixels, field.mpp, mpp, centred=True))
    return Field(rgb, mpp, field.layout, field.cells)
