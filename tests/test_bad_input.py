"""The issue's list of bad input, through the commands: clear errors, nothing lost, the others go on."""

import resource
import shutil
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile
from PIL import Image

from hccfeat.cli import main
from hccfeat.errors import AnalysisError, FailureKind, InputError
from hccfeat.store.catalog import query
from hccfeat.study import Study, init_study, open_study

HEADER = "patient_id,recurrence_months,recurrence_event,os_months,os_event,age,hbsag"


def field(path: Path, seed: int = 0) -> None:
    """A small stained field with a stated resolution."""
    rng = np.random.default_rng(seed)
    pixels = np.clip(rng.normal((190, 120, 170), 30, (192, 192, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, dpi=(25400, 25400))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return init_study(tmp_path / "study with späces", name="bad", recipe="tiny")


def table(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "clinical.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_bad_slides_are_listed_and_the_good_ones_go_on(study: Study, tmp_path: Path) -> None:
    slides = tmp_path / "slides"
    (slides / "again").mkdir(parents=True)
    field(slides / "A good.PNG", 1)
    field(slides / "B_Ünïcode 2.png", 2)
    (slides / "C.svs").write_bytes(b"")
    field(slides / "D.png", 3)
    (slides / "D.png").write_bytes((slides / "D.png").read_bytes()[:3000])
    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(slides / "E.png")
    field(tmp_path / "f.png", 4)
    shutil.move(tmp_path / "f.png", slides / "F.svs")
    field(slides / "G.png", 5)
    field(slides / "again" / "G.png", 6)
    field(slides / "stranger.png", 7)
    tifffile.imwrite(slides / "H.tif", shape=(40000, 40000, 3), dtype=np.uint8, resolution=(10000, 10000),
                     resolutionunit="CENTIMETER")  # fmt: skip
    rows = [f"{name},{20 + i},{i % 2},{30 + i},0,50,1" for i, name in enumerate("ABCDEFGHI")]
    rows[0] = rows[0].replace("A,", "A good,")
    summary = study.ingest("mixed", table(tmp_path, *rows), slides=slides)
    problems = {
        item["entity"].rsplit("/", 1)[-1]: item["problem"] + " " + item["remedy"] for item in summary.problems
    }
    found = query(study.folder, "SELECT image_id, status FROM image ORDER BY image_id").to_dicts()
    usable = {row["image_id"] for row in found if row["status"] == "ok"}
    assert usable == {"mixed/A good", "mixed/B_Ünïcode 2"}
    text = str(problems)
    for name, word in {
        "C": "empty", "D": "truncated", "E": "mpp", "F": ".svs", "G": "same name", "H": "megapixels",
        "stranger": "table",
    }.items():  # fmt: skip
        assert any(name in entity for entity in problems), (name, text)
        assert any(word in message.lower() for entity, message in problems.items() if name in entity), (name, text)
    assert any("mixed/I" in item["entity"] for item in summary.information)
    assert summary.rejected_file is not None
    assert summary.rejected_file.read_text(encoding="utf-8").count("\n") > len(summary.problems)


def test_bad_rows_are_listed_and_the_good_ones_go_on(study: Study, tmp_path: Path) -> None:
    clinical = table(
        tmp_path,
        "P1,10,1,20,1,50,1",
        "P2,-3,1,20,1,50,1",
        "P3,soon,1,20,1,50,1",
        "P4,10,2,20,1,50,1",
        "P5,10,1,20,1,500,1",
        "P6,10,1,20,1,NaN,'--",
        "P7,10,1,20,1,,",
        "P8,10,1,20,1,50,1",
        "P8,11,0,20,1,50,1",
    )
    summary = study.ingest("rows", clinical)
    frame = query(study.folder, "SELECT * FROM clinical ORDER BY patient_id")
    assert frame["patient_id"].to_list() == [f"rows/P{i}" for i in range(1, 8)]
    assert frame["age"].to_list() == [50, 50, 50, 50, None, None, None]
    outcomes = query(
        study.folder, "SELECT patient_id FROM outcome WHERE outcome = 'recurrence' ORDER BY patient_id"
    )
    assert outcomes["patient_id"].to_list() == ["rows/P1", "rows/P5", "rows/P6", "rows/P7"]
    assert len(summary.problems) == 6
    assert all("row" in item["entity"] and item["remedy"] for item in summary.problems)
    stored = query(study.folder, "SELECT * FROM rejected_row")
    assert stored.height == 6


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("id;age\n1;2\n", "patient_id"),
        (HEADER + "\n", "no"),
    ],
)
def test_useless_tables_change_nothing(study: Study, tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "useless.csv"
    path.write_text(content)
    before = sorted((study.folder / "records").rglob("*.json"))
    with pytest.raises(InputError, match=words):
        study.ingest("none", path)
    with pytest.raises(InputError, match=r"not exist|no such|missing"):
        study.ingest("none", tmp_path / "absent.csv")
    assert sorted((study.folder / "records").rglob("*.json")) == before
    assert query(study.folder, "SELECT count(*) AS n FROM patient")["n"][0] == 0


def test_partial_success_has_its_own_exit_status(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clinical = table(tmp_path, "P1,10,1,20,1,50,1", "P2,-3,1,20,1,50,1")
    arguments = ["ingest", "--study", str(study.folder), "--cohort", "part", "--clinical", str(clinical)]
    assert main(arguments) == 3
    assert "1 problem;" in capsys.readouterr().err


@pytest.mark.parametrize("events", ["none", "all"])
def test_a_cohort_of_one_class_is_named(study: Study, tmp_path: Path, events: str) -> None:
    event = int(events == "all")
    rows = [f"P{i},{40 + i},{event},{50 + i},{event},{40 + i},1" for i in range(12)]
    study.ingest("internal", table(tmp_path, *rows))
    with pytest.raises(AnalysisError):
        study.analyze(("1y",))


def test_fewer_patients_than_folds(study: Study, tmp_path: Path) -> None:
    slides = tmp_path / "slides"
    slides.mkdir()
    rows = []
    for i in range(4):
        field(slides / f"P{i}.png", i)
        rows.append(f"P{i},{30 + i},{i % 2},{40 + i},{i % 2},50,1")
    study.ingest("internal", table(tmp_path, *rows), slides=slides)
    with pytest.raises(AnalysisError, match="fold"):
        study.extract()
    assert study.verify() == []


def test_a_full_disk_is_a_typed_failure_and_nothing_is_lost(extracted_study: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(extracted_study, tmp_path / "study"))
    study = open_study(folder)
    wanted = query(folder, "SELECT image_id, digest FROM shard ORDER BY image_id").rows()
    victims = sorted((folder / "features").rglob("*.h5"))[:3]
    for path in victims:
        path.unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(Exception, match=r"disk|space|large|full"):
            study.extract()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    study.extract()
    assert study.verify() == []
    assert query(folder, "SELECT image_id, digest FROM shard ORDER BY image_id").rows() == wanted


def test_failure_kinds_are_typed() -> None:
    from hccfeat.extraction.outcomes import failure_kind

    assert failure_kind(MemoryError()) == FailureKind.OUT_OF_MEMORY
    assert failure_kind(RuntimeError("CUDA out of memory")) == FailureKind.OUT_OF_MEMORY
    assert failure_kind(OSError(28, "No space left on device")) == FailureKind.DISK_FULL
    assert failure_kind(ValueError("odd")) == FailureKind.UNKNOWN


def test_rejected_rows_hold_no_values(study: Study, tmp_path: Path) -> None:
    study.ingest("private", table(tmp_path, "P1,10,1,20,1,50,Jane Doe"))
    dump = pl.concat(
        [query(study.folder, "SELECT * FROM rejected_row").select(pl.all().cast(pl.String)).unpivot()],
    )
    assert "Jane" not in str(dump["value"].to_list())
    for record in (study.folder / "records").rglob("*.json"):
        assert "Jane" not in record.read_text(encoding="utf-8")
