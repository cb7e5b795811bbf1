"""Features of a foundation model go through ``analyze``, and its guard knows whom the model has seen."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hccfeat.cli import main
from hccfeat.config import AnalysisConfig
from hccfeat.errors import InputError, LeakageError
from hccfeat.store.catalog import query
from hccfeat.study import Study, open_study
from tests.exchange import writers as w

DIM, PATCHES = 32, 12


@pytest.fixture(scope="module")
def imported(ingested_study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """Two cohorts as a simulated foundation model sees them: 32 dimensions, three of which know the outcome."""
    folder = tmp_path_factory.mktemp("foundation")
    opened = open_study(shutil.copytree(ingested_study, folder / "study"))
    few = AnalysisConfig(bootstraps=100, imputations=2, repeats=1, optimism=20)
    study = replace(opened, config=opened.config.model_copy(update={"analysis": few}))
    rows = query(
        study.folder,
        "SELECT i.image_id, i.width, i.height, coalesce(o.event, false) AS event FROM image AS i "
        "LEFT JOIN outcome AS o ON o.patient_id = i.patient_id AND o.outcome = 'recurrence' "
        "WHERE coalesce(i.modality, 'slide') = 'slide' ORDER BY i.image_id",
    ).to_dicts()
    generator = np.random.default_rng(7)
    for row in rows:
        vectors = generator.normal(size=(PATCHES, DIM))
        vectors[:, :3] += 1.5 * row["event"]
        coords = generator.integers(0, min(row["width"], row["height"]), size=(PATCHES, 2))
        size = {"level0_width": row["width"], "level0_height": row["height"]}
        stem = row["image_id"].partition("/")[2]
        w.trident(folder / "trident", stem, vectors.astype(np.float16), coords, encoder="giga_v2", **size)
    return study, folder / "trident"


def test_from_the_files_to_the_report(imported: tuple[Study, Path], capsys: pytest.CaptureFixture[str]) -> None:
    study, files = imported
    common = ["--study", str(study.folder)]
    assert main(["import", str(files), "--format", "trident", "--features", "giga", "--seen", "none", *common]) == 0
    assert "giga_v2, 32 dimensions, seen by its network: none" in " ".join(capsys.readouterr().out.split())
    summary = study.analyze(("final",), features="giga", external=("external",), comparators=("none",))
    judged = {row["split"] for row in summary.headline if row["model"] != "indicators"}
    assert {"held_out", "external"} <= judged
    page = summary.report.read_text(encoding="utf-8")
    for shown in ("giga-1", "giga_v2", "imported", "No patient of this study trained, stopped or selected"):
        assert shown in page
    with pytest.raises(InputError, match="which was imported"):
        study.extract(base="giga")
    with pytest.raises(InputError, match="was imported"):
        study.export(study.folder / "risk", "geojson", what="risk", features=("giga",))


@pytest.mark.parametrize(("seen", "external"), [("internal", ()), ("external", ("external",))])
def test_whom_the_model_has_seen_is_no_judge(imported: tuple[Study, Path], seen: str, external: tuple[str]) -> None:
    study, files = imported
    name = f"seen-{seen}"
    made = study.import_features([files], "trident", name, seen=(seen,))
    row = query(study.folder, "SELECT simulated FROM feature_set WHERE feature_set = ?", [made.feature_set])
    assert row["simulated"].to_list() == [True]
    with pytest.raises(LeakageError, match="were seen by the encoder"):
        study.analyze(("final",), features=name, external=external, comparators=("none",))
