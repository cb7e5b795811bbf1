"""Every dependency is bounded, pinned, used, and explained in the README."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME = PROJECT["dependencies"]
ALL = [*RUNTIME, *PROJECT["optional-dependencies"]["dev"]]
IMPORTED_AS = {
    "scikit-learn": "sklearn", "scikit-survival": "sksurv", "scikit-image": "skimage", "pillow": "PIL",
    "openslide-python": "openslide",
}  # fmt: skip
NEEDED_BY_OTHERS = {"torchvision": "timm", "openslide-bin": "openslide", "fastexcel": "polars"}


def name_of(requirement: str) -> str:
    return re.split(r"[<>=~!]", requirement)[0]


def plain(name: str) -> str:
    return name.lower().replace("_", "-")


@pytest.mark.parametrize("requirement", ALL, ids=name_of)
def test_bounded_pinned_and_explained(requirement: str) -> None:
    assert ">=" in requirement
    assert ",<" in requirement
    pins = {plain(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert plain(name_of(requirement)) in pins
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| ")]
    assert any(name_of(requirement) in re.split(r"[ ,|]+", row.split("|")[1]) for row in rows)


@pytest.mark.parametrize("requirement", RUNTIME, ids=name_of)
def test_used(requirement: str) -> None:
    name = name_of(requirement)
    module = NEEDED_BY_OTHERS.get(name, IMPORTED_AS.get(name, name))
    pattern = re.compile(rf"^\s*(import|from) {module}\b", re.MULTILINE)
    sources = (ROOT / "hccfeat").rglob("*.py")
    assert any(pattern.search(path.read_text(encoding="utf-8")) for path in sources)
