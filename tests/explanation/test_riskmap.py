"""Risk maps: classes, colours, overlay geometry and pictures."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hccfeat.errors import InputError
from hccfeat.explanation.annotations import Annotation
from hccfeat.explanation.drawing import GridRow, bar_length, grid, heat_over, signed_over
from hccfeat.explanation.riskmap import (
    BETWEEN,
    COLOURS,
    HIGH,
    LOW,
    RiskMap,
    class_colours,
    overlay_factor,
    painted,
    risk_colours,
)
from hccfeat.explanation.slide_picture import slide_picture
from hccfeat.units import Level0Px, MicronsPerPx


def risk_map(probability: list[float], side: int = 100, columns: int = 4) -> RiskMap:
    places = np.arange(len(probability))
    coords = np.stack([places % columns * side, places // columns * side], axis=1)
    height = max(1, -(-len(probability) // columns)) * side + 50
    return RiskMap(
        coords.astype(np.int64).reshape(-1, 2),
        Level0Px(side),
        np.array(probability, np.float32),
        Level0Px(columns * side + 30),
        Level0Px(height),
        MicronsPerPx(0.5),
    )


def test_classes_at_a_threshold_and_its_mirror() -> None:
    risk = risk_map([0.8, 0.79, 0.5, 0.21, 0.2, 0.0, 1.0])
    assert risk.classes(0.8).tolist() == [HIGH, BETWEEN, BETWEEN, BETWEEN, LOW, LOW, HIGH]
    assert risk.classes(0.5).tolist() == [HIGH, HIGH, HIGH, LOW, LOW, LOW, HIGH]
    assert risk.counts(0.8) == {HIGH: 2, BETWEEN: 3, LOW: 2}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1, width=32), max_size=30), st.floats(0.5, 0.99))
def test_classes_are_a_partition_that_a_higher_threshold_thins(values: list[float], threshold: float) -> None:
    risk = risk_map(values)
    assert sum(risk.counts(threshold).values()) == len(values)
    looser = risk.counts(0.5)
    assert risk.counts(threshold)[HIGH] <= looser[HIGH]
    assert looser[BETWEEN] == 0


def test_nonsense_is_refused() -> None:
    with pytest.raises(InputError, match="is not from"):
        risk_map([0.5]).classes(0.4)
    with pytest.raises(InputError, match="no probabilities"):
        risk_map([0.5, np.nan])
    with pytest.raises(InputError, match="outside the slide"):
        RiskMap(
            np.array([[400, 0]]), Level0Px(100), np.array([0.1], np.float32), Level0Px(450), Level0Px(450),
            MicronsPerPx(0.5),
        )  # fmt: skip


def test_high_and_low_differ_for_every_kind_of_colour_vision() -> None:
    high, low = (np.array(COLOURS[kind], float) for kind in (HIGH, LOW))
    luminance = np.array([0.299, 0.587, 0.114])
    assert np.abs(high - low).max() > 150
    assert abs(high[2] - low[2]) > 150  # the blue channel: what red-green blindness sees
    assert abs((high - low) @ luminance) > 15


def test_overlay_paints_the_patches_and_nothing_else() -> None:
    risk = risk_map([0.9, 0.1, 0.9])
    background = np.full((75, 215, 3), (200, 120, 180), np.uint8)  # half size
    done = painted(risk, class_colours(risk.classes(0.8)), background)
    grey = done[60, 10]
    assert grey[0] == grey[1] == grey[2]
    assert (done[0:50, 0:50] == done[0, 0]).all()
    assert done[25, 25, 0] > done[25, 25, 2]  # high: vermilion
    assert done[25, 75, 2] > done[25, 75, 0]  # low: blue
    assert (done[:, 150:] == grey).all()
    assert (done[50:] == grey).all()


def test_colours_run_from_low_to_high_between_their_limits() -> None:
    colours = risk_colours(np.array([0.0, 1.0]))
    assert tuple(colours[0]) == COLOURS[LOW]
    assert tuple(colours[1]) == COLOURS[HIGH]
    np.testing.assert_array_equal(risk_colours(np.array([0.2, 0.4]), 0.2, 0.4), colours)
    same = risk_colours(np.array([0.3, 0.3]), 0.3, 0.3)
    assert (same[0] == same[1]).all()


@settings(deadline=None)
@given(st.integers(1, 300_000), st.integers(1, 300_000))
def test_overlay_factor_is_the_smallest_power_of_two(width: int, height: int) -> None:
    risk = RiskMap(
        np.empty((0, 2), np.int64), Level0Px(1), np.empty(0, np.float32), Level0Px(width), Level0Px(height),
        MicronsPerPx(0.25),
    )  # fmt: skip
    factor = overlay_factor(risk)
    assert max(width, height) <= 4096 * factor
    assert factor == 1 or max(width, height) > 4096 * factor // 2
    assert factor & (factor - 1) == 0


@settings(deadline=None)
@given(st.floats(1, 1e6))
def test_scale_bars_are_round_and_fit(span: float) -> None:
    length = bar_length(span)
    assert span / 8 < length <= span / 3 + 1e-9
    assert f"{length:e}"[0] in "125"


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_slide_picture_is_deterministic_and_grows_with_the_thresholds() -> None:
    risk = risk_map([0.9, 0.1, 0.6, 0.55, 0.4])
    slide = np.full((125, 215, 3), 230, np.uint8)
    ring = np.array([[10, 10], [200, 10], [200, 200], [10, 10]], float)
    outlines = [Annotation("tumour", (0, 158, 115), (ring,))]
    one = slide_picture(risk, slide, (0.5, 0.6, 0.7, 0.8), annotations=outlines, simulated=True)
    assert one == slide_picture(risk, slide, (0.5, 0.6, 0.7, 0.8), annotations=outlines, simulated=True)
    small = opened(slide_picture(risk, slide, (0.5,)))
    assert opened(one).size[1] > small.size[1]
    drawn = np.asarray(opened(one)).reshape(-1, 3)
    plain = np.asarray(opened(slide_picture(risk, slide, (0.5, 0.6, 0.7, 0.8)))).reshape(-1, 3)
    for colour in ((0, 158, 115), (163, 42, 0)):  # the outline, and the words SIMULATED DATA
        assert (drawn == colour).all(axis=1).sum() > 50
        assert not (plain == colour).all(axis=1).any()


def test_a_slide_without_usable_patches_has_a_picture() -> None:
    assert opened(slide_picture(risk_map([]), np.full((50, 215, 3), 230, np.uint8), (0.5, 0.8))).size[0] > 600


def test_maps_over_patches() -> None:
    patch = np.full((8, 8, 3), (200, 100, 160), np.uint8)
    nothing = heat_over(patch, np.zeros((8, 8)))
    assert (nothing == nothing[0, 0, 0]).all()
    values = np.zeros((8, 8))
    values[0, 0], values[7, 7] = 2.0, -1.0
    signed = signed_over(patch, values)
    assert signed[0, 0, 0] > signed[0, 0, 2]
    assert signed[7, 7, 2] > signed[7, 7, 0]
    assert (signed[3, 3] == nothing[3, 3]).all()


def test_a_grid_has_a_cell_per_patch() -> None:
    patch = np.full((16, 16, 3), (200, 100, 160), np.uint8)
    data = grid([GridRow("patch", [patch] * 3)], captions=["a", "b", "c"], groups=[("high", 2), ("low", 1)])
    pixels = np.asarray(opened(data)).reshape(-1, 3)
    assert (pixels == (200, 100, 160)).all(axis=1).sum() == 3 * 96 * 96
    with pytest.raises(ValueError, match="zip"):
        grid([GridRow("patch", [patch] * 3)], captions=["a"])
