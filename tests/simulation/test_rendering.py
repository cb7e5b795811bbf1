from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from hccfeat.simulation.layout import Compartment
from hccfeat.simulation.looks import DEFECTS, Look, draw_look
from hccfeat.simulation.parameters import load_parameters
from hccfeat.simulation.rendering import Field, enlarged, render

PARAMETERS = load_parameters("tiny")
SIDE = 160.0


def look(signal: float, seed: int = 0, **changes: object) -> Look:
    drawn = draw_look(PARAMETERS, "internal", signal, np.random.default_rng(seed))
    return replace(drawn, **(dict.fromkeys((*DEFECTS, "glass"), False) | changes))


@cache
def field(signal: float = 0.0, seed: int = 0, *, slide: bool = False, defect: str = "", mpp: float = 1.0) -> Field:
    chosen = look(signal, seed, **({defect: True} if defect else {}))
    rng = np.random.default_rng(seed)
    scanner = PARAMETERS.scanners["internal"]
    return render(SIDE, mpp, chosen, PARAMETERS.tissue, scanner, rng, slide=slide)


def radius(rendered: Field) -> np.ndarray:
    return np.sqrt(rendered.cells.epithelial.long * rendered.cells.epithelial.short)


def test_nuclei_grow_vary_and_crowd_and_lymphocytes_vanish_with_the_signal() -> None:
    calm, wild = ([field(signal, seed) for seed in range(6)] for signal in (-2.0, 2.0))
    size, spread, nuclei, lymphocytes = (
        [np.mean([measure(f) for f in fields]) for fields in (calm, wild)]
        for measure in (
            lambda f: radius(f).mean(),
            lambda f: np.log(radius(f)).std(),
            lambda f: len(f.cells.epithelial),
            lambda f: len(f.cells.lymphocytes),
        )
    )
    assert size[1] > 1.4 * size[0]
    assert spread[1] > 1.5 * spread[0]
    assert nuclei[1] > 1.15 * nuclei[0]
    assert lymphocytes[1] < 0.5 * lymphocytes[0]


def test_the_rest_of_the_look_does_not_depend_on_the_signal() -> None:
    one, other = (draw_look(PARAMETERS, "internal", signal, np.random.default_rng(4)) for signal in (-2.0, 2.0))
    for name in ("stroma_share", "steatosis_share", "sinusoid_width", "portal", "glass", *DEFECTS):
        assert getattr(one, name) == getattr(other, name)
    np.testing.assert_array_equal(one.stain.vectors, other.stain.vectors)
    np.testing.assert_array_equal(one.stain.strength, other.stain.strength)


def test_the_look_saturates_but_the_signal_does_not() -> None:
    extreme, far = look(9.0), look(19.0)
    assert extreme.nuclear_radius_um == far.nuclear_radius_um
    assert far.signal > extreme.signal + 9


def test_nuclei_are_blue_and_cytoplasm_is_pink() -> None:
    rendered = field(1.0)
    rgb = rendered.rgb.astype(float)
    cells = rendered.cells.epithelial
    inside = rgb[cells.y.astype(int), cells.x.astype(int)]
    tissue = rgb[rgb.min(axis=2) < 220]
    assert inside[:, 0].mean() < tissue[:, 0].mean() - 15  # haematoxylin takes red away
    assert (tissue[:, 0].mean() > tissue[:, 1].mean()) and (tissue[:, 2].mean() > tissue[:, 1].mean())  # noqa: PT018


def test_same_random_numbers_same_pixels() -> None:
    first = field(0.5, 3).rgb
    field.cache_clear()
    np.testing.assert_array_equal(first, field(0.5, 3).rgb)
    assert not np.array_equal(first, field(0.5, 4).rgb)


def test_resolution_changes_pixels_not_tissue() -> None:
    coarse, fine = field(0.0, 1), field(0.0, 1, mpp=0.5)
    assert (coarse.rgb.shape, fine.rgb.shape) == ((160, 160, 3), (320, 320, 3))
    np.testing.assert_array_equal(coarse.cells.epithelial.x, fine.cells.epithelial.x)


def sharpness(rgb: np.ndarray) -> float:
    green = rgb[..., 1].astype(float)
    return float(np.abs(np.diff(green, axis=0)).mean())


def test_defects_show() -> None:
    sound = field(0.0, 2).rgb
    assert sharpness(field(0.0, 2, defect="out_of_focus").rgb) < 0.75 * sharpness(sound)
    lost = field(0.0, 2, defect="lost_tissue")
    assert lost.layout.share(Compartment.BACKGROUND).mean() > 0.95
    assert (lost.rgb.min(axis=2) > 215).mean() > 0.9
    pen = field(0.0, 2, defect="pen").rgb.astype(int)
    assert ((pen.min(axis=2) < 60) & (sound.min(axis=2) > 60)).mean() > 0.05
    assert field(0.0, 2, defect="fold").rgb.mean() < sound.mean() - 1
    blurred = field(0.0, 2, defect="blurred_area").rgb
    assert sharpness(sound) > sharpness(blurred) > sharpness(field(0.0, 2, defect="out_of_focus").rgb)


def test_slides_have_tumour_edge_and_glass_and_adjacent_nuclei_are_small() -> None:
    rendered = field(2.0, 5, slide=True)
    kinds = {int(kind) for kind in np.unique(rendered.layout.compartment)}
    assert {Compartment.BACKGROUND, Compartment.TUMOUR, Compartment.ADJACENT, Compartment.STROMA} <= kinds
    cells = rendered.cells.epithelial
    kind = rendered.layout.at(rendered.layout.compartment, cells.x, cells.y)
    size = radius(rendered)
    assert size[kind == Compartment.TUMOUR].mean() > 1.2 * size[kind == Compartment.ADJACENT].mean()
    assert rendered.rgb[:4, :4].min() > 215


def test_enlarging_keeps_the_picture() -> None:
    rendered = field(0.0, 1)
    large = enlarged(rendered, 320)
    assert large.mpp == pytest.approx(0.5)
    halved = large.rgb.reshape(160, 2, 160, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - rendered.rgb).mean() < 4
    assert enlarged(rendered, 160) is rendered
