"""Makes the archive of a store version: ``python -m tests.data.make_archive 0.2.0`` before its release.

An archive holds a small study as that version writes it, with its catalog, and ``expected.json``: every row that
the catalog showed. It is committed and never made again; ``test_archives.py`` asks of every later hccfeat that it
opens, verifies, rebuilds and queries each of them. Nothing here needs torch.
"""

import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from hccfeat.store.catalog import open_catalog
from hccfeat.store.committer import Committer
from hccfeat.store.freeze import freeze
from hccfeat.store.retention import remove
from hccfeat.store.shards import write_shard
from tests.store.builder import add_feature_set, add_mri, add_results, image_ids, ingest, publish_shards, shard

ARCHIVES = Path(__file__).parent / "archives"
BOOKKEEPING = {"record": {"digest"}, "catalog_fact": {"value"}, "shard": {"mtime_ns"}}
"""Columns that may differ in a catalog made anew by another version."""

_WHEN = (2026, 1, 1, 0, 0, 0)


def make_study(study: Path) -> None:
    """A study with every kind of record: slides, MRI exams, an excluded image, a failure, a freeze, a removal."""
    study.mkdir(parents=True)
    (study / "hccfeat.toml").write_text('name = "archive"\ntitle = "archive"\ndevelopment_cohort = "internal"\n')
    ids = image_ids(patients=3)
    with Committer(study) as committer:
        ingest(committer, patients=3)
        committer.record(
            "splits",
            "internal-1",
            {
                "split": [
                    {"split": "internal-1", "patient_id": f"internal/P{i:03d}", "role": role, "fold": fold}
                    for i, (role, fold) in enumerate((("train", 1), ("train", 2), ("test", None)))
                ]
            },
        )
        add_feature_set(committer)
        add_feature_set(committer, "pps-2", sha256="e" * 64)
        committer.adopt(publish_shards(study, ids[:4]))
        committer.adopt([write_shard(study, shard(ids[4], 0))])
        failure = {
            "feature_set": "pps-1",
            "image_id": ids[5],
            "kind": "unreadable",
            "message": "ä file that is none",
        }
        committer.record("runs", "failures-pps-1", {"extraction_failure": [failure]})
        add_mri(committer, study)
        add_results(committer)
        weights = {
            "model": "pps-1-1y",
            "feature_set": "pps-1",
            "path": "models/pps-1/1y.safetensors",
            "sha256": "a",
        }
        committer.record("results", "model-pps-1-1y", {"model_file": [weights]})
        for version in ("old-1", "old-2"):
            add_feature_set(committer, version)
            committer.adopt(publish_shards(study, ids[:1], feature_set=version))
    freeze(study, "paper", cohort="internal", feature_set="pps-1")
    remove(study, ["features"])


def contents(study: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of a study's catalog that depends on the study alone, as plain JSON, sorted."""
    connection = open_catalog(study)
    try:
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'catalog' ORDER BY ALL"
        ).fetchall()
        found = {}
        for (name,) in names:
            cursor = connection.execute(f'SELECT * FROM "{name}"')
            columns = [column[0] for column in cursor.description or []]
            rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            kept = [{k: v for k, v in row.items() if k not in BOOKKEEPING.get(name, ())} for row in rows]
            found[name] = sorted(
                (json.loads(json.dumps(row, default=str)) for row in kept), key=lambda row: json.dumps(row)
            )
        return found
    finally:
        connection.close()


def main(version: str) -> Path:
    """Write the archive of a version, which must not exist."""
    archive = ARCHIVES / f"{version}.zip"
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        make_study(study)
        files = sorted(
            path for path in study.rglob("*") if path.is_file() and ".hccfeat" not in path.relative_to(study).parts
        )
        with zipfile.ZipFile(archive, "x", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
            for path in files:
                name = path.relative_to(study).as_posix()
                out.writestr(zipfile.ZipInfo(name, _WHEN), path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
            text = json.dumps(contents(study), ensure_ascii=False, indent=1)
            out.writestr(zipfile.ZipInfo("expected.json", _WHEN), text, zipfile.ZIP_DEFLATED, 9)
    return archive


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
