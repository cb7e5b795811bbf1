import re

import numpy as np
import pytest

from hccfeat.report.canvas import drawing, inline_svg, new_figure
from hccfeat.report.compact import in_steps, share_looks, without_wrappers

LOOK = "fill: none; stroke: var(--c1, #0072b2)"


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("M 1 2 L 3 2 L 3 2.04 L 3 5 L 2.5 4.5 L 2 4 z", "m1 2h2v3l-.5-.5-.5-.5z"),
        ("M 0.26 10 L 10.74 10 M 5 5 L 5.5 5.5", "m.3 10h10.4m-5.7-5l.5.5"),
        ("M 1 1 L 2 2 L 1 2 z \nM 3 1 L 3 4", "m1 1l1 1h-1zm2 0v3"),
        ("M 0 3 C 0.796 3 1.559 2.684 2.121 2.121 z", "m0 3c.8 0 1.56-.32 2.12-.88z"),
        ("M 1 1 Q 2 1 2 2", "m1 1q1 0 1 1"),
    ],
)
def test_a_path_is_steps_of_few_digits(path: str, short: str) -> None:
    assert in_steps(path) == short


def test_errors_of_rounding_do_not_add_up() -> None:
    points = np.cumsum(np.random.default_rng(3).uniform(-3, 3, (400, 2)), axis=0)
    path = "M " + " L ".join(f"{x:.6f} {y:.6f}" for x, y in points)
    numbers = re.findall(r"([a-z]?)(-?(?:\d*\.\d+|\d+))", in_steps(path))
    place, letter, axis = np.zeros(2), "m", 0
    for command, number in numbers:
        letter, axis = (command, int(command == "v")) if command else (letter, axis)
        place[axis] += float(number)
        axis = axis if letter in "hv" else 1 - axis
    assert np.abs(place - points[-1]).max() < 0.051


def test_markers_and_bands_are_drawn_where_they_are_used() -> None:
    with drawing():
        figure = new_figure(4, 3)
        axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
        axes.fill_between([0, 1], [0, 0], [1, 1], color="#0072b2", linewidth=0)
        axes.plot([0, 1], [0, 1], marker="s", color="#d55e00")
        svg = inline_svg(figure, "k", "t", "d")
    assert "<use" not in svg
    corners = [axes.transData.transform(point) / figure.dpi * 72 for point in ((0, 0), (1, 1))]
    band = re.search(r' d="m([\d.]+) ([\d.]+)[^"]*z" style="fill: var\(--c1', svg)
    assert band is not None
    assert (float(band[1]), float(band[2])) == pytest.approx((corners[0][0], 216 - corners[1][1]), abs=0.06)
    squares = re.findall(r'<path d="m([\d.]+) ([\d.]+)h6v-6h-6z"', svg)
    expected = np.array([(x - 3, 219 - y) for x, y in corners])
    assert np.array(squares, dtype=float) == pytest.approx(expected, abs=0.06)


def test_a_group_of_one_part_hands_over_what_it_says() -> None:
    svg = '<g data-s="1" data-band="1">\n<g clip-path="url(#a)">\n<path d="m1 1h1"/>\n</g>\n</g>'
    assert without_wrappers(svg) == '<path data-s="1" data-band="1" clip-path="url(#a)" d="m1 1h1"/>'
    two = '<g data-s="1">\n<path d="m1 1h1"/>\n<text x="1">a</text>\n</g>'
    assert without_wrappers(two) == two


def test_a_page_describes_each_look_once() -> None:
    figure = f'<svg class="plot"><path d="m1 1h1" style="{LOOK}" clip-path="url(#e0-x-0)"/>'
    figure += '<clipPath id="e0-x-0"><rect x="1"/></clipPath></svg>'
    page = share_looks(f'<head>\n</head><p style="color: red">{figure}{figure.replace("e0", "e1")}</p>')
    assert page.count(LOOK) == 1
    assert f".k0 {{ {LOOK} }}" in page[: page.index("</head>")]
    assert page.count('<path d="m1 1h1" class="k0" clip-path="url(#a0)"/><clipPath id="a0">') == 1
    assert page.count('clip-path="url(#a1)"/><clipPath id="a1">') == 1
    assert '<p style="color: red">' in page
    assert share_looks("<head></head>") == "<head></head>"
