"""Files find their image by name, and nothing is guessed."""

from pathlib import Path

import pytest

from hccfeat.exchange.bag import FoundFile
from hccfeat.exchange.matching import match

IMAGES = ["a/s1", "a/s2.ome", "b/s1", "b/s3", "b/Grösse"]


def found(*names: str) -> list[FoundFile]:
    return [FoundFile(name, Path(f"/f/{number}/{name}.h5")) for number, name in enumerate(names)]


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("s3", "b/s3"),
        ("b/s3", "b/s3"),
        ("s2.ome", "a/s2.ome"),
        ("s2", "a/s2.ome"),
        ("s3.svs", "b/s3"),
        ("Gro\u0308sse", "b/Grösse"),
        ("a/s1", "a/s1"),
    ],
)
def test_names(name: str, image: str) -> None:
    matches = match(found(name), IMAGES)
    assert list(matches.files) == [image]
    assert matches.problems == []
    assert matches.without == sorted(set(IMAGES) - {image})


def test_unmatched_ambiguous_and_duplicate_files_are_listed() -> None:
    matches = match(found("s1", "s3", "s3", "s9"), IMAGES)
    assert matches.files == {}
    assert [problem["entity"] for problem in matches.problems] == [
        "/f/0/s1.h5", "/f/3/s9.h5", "/f/1/s3.h5", "/f/2/s3.h5",
    ]  # fmt: skip
    texts = [f"{problem['problem']}. {problem['remedy']}" for problem in matches.problems]
    assert "several cohorts have this name (a/s1, b/s1). Import each cohort on its own" in texts[0]
    assert "no image of the study has this name" in texts[1]
    assert "is about b/s3, and so is /f/2/s3.h5" in texts[2]


def test_rows_of_one_file_name_the_image() -> None:
    matches = match([FoundFile("s9", Path("/f/one.parquet"), rows=(0, 3))], IMAGES)
    assert matches.problems[0]["entity"] == "/f/one.parquet, image s9"
