"""Other DuckDB clients open the catalog read-only, also while a committer holds the study and publishes.

Runs with this interpreter, and with an interpreter that has DuckDB 1.5, the oldest supported, if it is given:
``python -m venv old && old/bin/pip install 'duckdb==1.5.*'``, then ``HCCFEAT_DUCKDB_1_5=old/bin/python make test``.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hccfeat.store.committer import Committer
from hccfeat.store.names import catalog_path
from tests.store.builder import add_feature_set, image_ids, ingest, publish_shards

CLIENT = """
import json, sys, duckdb
connection = None
for line in sys.stdin:
    path, sql = json.loads(line)
    if path:
        if connection:
            connection.close()  # DuckDB shares one instance of a path within a process
        connection = duckdb.connect(path, read_only=True)
    try:
        rows = connection.execute(sql).fetchall()
    except duckdb.Error as error:
        rows = type(error).__name__
    print(json.dumps(rows, default=str), flush=True)
"""
OLD = "HCCFEAT_DUCKDB_1_5"


class Client:
    """A process that has nothing but the duckdb package."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, "-c", CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, sql: str, *, reopen: Path | None = None) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([str(reopen) if reopen else None, sql]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture(params=["this DuckDB", "DuckDB 1.5"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    python = sys.executable if request.param == "this DuckDB" else os.environ.get(OLD)
    if python is None:
        pytest.skip(f"{OLD} names no interpreter that has duckdb 1.5")
    made = Client(python)
    yield made
    made.close()


def test_reads_while_a_committer_publishes(client: Client, tmp_path: Path) -> None:
    vectors = "SELECT image_id, typeof(mean), len(mean) FROM image_pps ORDER BY image_id"
    ids = image_ids()
    with Committer(tmp_path) as committer:
        ingest(committer)
        add_feature_set(committer, "pps-1", 128)
        committer.adopt(publish_shards(tmp_path, ids[:2], dim=128))
    path = catalog_path(tmp_path)
    first = [[image, "FLOAT[128]", 128] for image in ids[:2]]
    assert client.ask(vectors, reopen=path) == first
    with Committer(tmp_path) as committer:
        committer.adopt(publish_shards(tmp_path, ids[2:5], dim=128))
        committer.publish()
        assert client.ask(vectors) == first, "a connection keeps the copy that it opened"
        assert len(client.ask(vectors, reopen=path)) == 5, "a new one has what was published"
        committer.adopt(publish_shards(tmp_path, ids[5:6], dim=128))
        assert len(client.ask(vectors, reopen=path)) == 5
    assert len(client.ask(vectors, reopen=path)) == 6
    patients = client.ask("SELECT patient_id, typeof(mean) FROM patient_pps ORDER BY patient_id")
    assert patients == [[f"internal/P{i:03d}", "FLOAT[128]"] for i in range(3)]
    assert client.ask("DELETE FROM patient") == "InvalidInputException"


def test_every_view_and_description(client: Client, read_study: Path) -> None:
    views = client.ask("SELECT view_name FROM duckdb_views() WHERE NOT internal", reopen=catalog_path(read_study))
    assert len(views) >= 15
    for (view,) in views:
        assert isinstance(client.ask(f"SELECT count(*) FROM {view} WHERE false"), list), view
        assert isinstance(client.ask(f"SELECT * FROM {view}"), list), view
    joined = client.ask("SELECT count(*), count(afp), count(recurrence_months) FROM clinical_patient_pps")
    assert joined == [[5, 4, 5]]
    assert client.ask("SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND comment IS NULL") == [[0]]
