"""Where micrometres per pixel come from."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hccfeat.errors import FailureKind, SlideError
from hccfeat.slides.resolution import MICRONS_PER_INCH, Resolution, per_length, resolve_mpp

SLIDE = Path("a slide.png")


def test_override_wins() -> None:
    assert resolve_mpp(SLIDE, 0.25, Resolution(0.5, 0.5, "openslide.mpp-x")) == (0.25, "override")


@given(st.floats(0.05, 16))
def test_physical_values_are_believed(mpp: float) -> None:
    value, source = resolve_mpp(SLIDE, None, Resolution(mpp, mpp, "png pHYs"))
    assert value == pytest.approx(mpp)
    assert source == "png pHYs"


@pytest.mark.parametrize("dpi", [72, 96, 150, 300, 600, 1200])
def test_screen_and_print_resolutions_are_refused(dpi: int) -> None:
    with pytest.raises(SlideError, match="no microscope") as caught:
        resolve_mpp(SLIDE, None, per_length(dpi, dpi, MICRONS_PER_INCH, "jpeg density"))
    assert caught.value.kind is FailureKind.NO_MPP
    assert "manifest" in caught.value.remedy


@pytest.mark.parametrize("override", [0.0, -1.0, 40.0, float("nan"), float("inf")])
def test_impossible_overrides_are_refused(override: float) -> None:
    with pytest.raises(SlideError) as caught:
        resolve_mpp(SLIDE, override, Resolution(0.5, 0.5, "openslide.mpp-x"))
    assert caught.value.kind is FailureKind.NO_MPP


def test_oblong_pixels_are_refused() -> None:
    with pytest.raises(SlideError, match="not square"):
        resolve_mpp(SLIDE, None, Resolution(0.5, 0.6, "tiff resolution"))


def test_no_statement_is_never_replaced_by_a_guess() -> None:
    with pytest.raises(SlideError, match="states no physical resolution"):
        resolve_mpp(SLIDE, None, None)


@pytest.mark.parametrize("x", [0.0, -3.0, float("nan"), float("inf")])
def test_per_length_ignores_what_is_no_number_of_pixels(x: float) -> None:
    assert per_length(x, 1.0, MICRONS_PER_INCH, "tiff resolution") is None
