from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.errors import StoreError
from hccfeat.store import scan as scan_module
from hccfeat.store.patches import PatchFile
from hccfeat.store.scan import conjuncts, scan_patches
from hccfeat.store.session import run_sql
from hccfeat.store.shards import read_shard
from tests.store.builder import image_ids


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Which shards are opened, with the number of vectors read from each."""
    seen: list[tuple[str, int]] = []
    read, vectors = scan_module._read, PatchFile.vectors

    def watched_read(path: Path, shard: dict[str, str], *rest: object) -> pl.DataFrame:
        seen.append((shard["image_id"], 0))
        return read(path, shard, *rest)

    def watched_vectors(file: PatchFile, chosen: np.ndarray | None = None) -> np.ndarray:
        found = vectors(file, chosen)
        seen[-1] = (seen[-1][0], len(found))
        return found

    monkeypatch.setattr(scan_module, "_read", watched_read)
    monkeypatch.setattr(PatchFile, "vectors", watched_vectors)
    return seen


def reference(study: Path) -> pl.DataFrame:
    frames = []
    for image_id in image_ids()[:-1]:
        shard = read_shard(study / "features" / "pps-1" / f"{image_id}.h5")
        frames.append(
            pl.DataFrame(
                {
                    "image_id": [image_id] * len(shard.coords),
                    "patient_id": [image_id.rpartition("_")[0]] * len(shard.coords),
                    "cohort": ["internal"] * len(shard.coords),
                    "x": shard.coords[:, 0],
                    "y": shard.coords[:, 1],
                    "vector": shard.vectors,
                }
            )
        )
    return pl.concat(frames)


def test_everything(read_study: Path) -> None:
    frame = scan_patches(read_study, "pps-1").collect()
    assert frame.schema == {
        "image_id": pl.String,
        "patient_id": pl.String,
        "cohort": pl.String,
        "x": pl.Int64,
        "y": pl.Int64,
        "vector": pl.Array(pl.Float32, 8),
    }
    assert frame.equals(reference(read_study))


PREDICATES: dict[str, pl.Expr] = {
    "one image": pl.col("image_id") == "internal/P001_1",
    "images": pl.col("image_id").is_in(["internal/P001_1", "internal/P003_2", "nowhere"]),
    "prefix": pl.col("image_id").str.starts_with("internal/P00"),
    "place": (pl.col("x") >= 448) & (pl.col("y") == 224),
    "image and place": (pl.col("image_id") == "internal/P002_1") & (pl.col("x") < 500),
    "image or place": (pl.col("image_id") == "internal/P002_1") | (pl.col("x") == 0),
    "not": ~((pl.col("image_id") == "internal/P002_1") & (pl.col("x") < 500)),
    "null": pl.col("x").is_not_null() & pl.col("image_id").is_null(),
    "fill": pl.col("image_id").fill_null("a") > "internal/P002",
    "vector": pl.col("vector").arr.get(0) > 0,
    "vector and image": (pl.col("vector").arr.sum() > 0) & (pl.col("image_id") <= "internal/P002_2"),
    "both columns": pl.col("image_id").str.len_chars().cast(pl.Int64) * 20 < pl.col("x"),
    "patient": pl.col("patient_id") == "internal/P001",
    "patient, cohort and place": (pl.col("patient_id") > "internal/P001")
    & (pl.col("cohort") == "internal")
    & (pl.col("x") < 500),
    "patient or place": (pl.col("patient_id") == "internal/P001") | (pl.col("x") == 0),
    "nothing": pl.lit(value=False),
    "all": pl.lit(value=True),
}


@pytest.mark.parametrize("name", PREDICATES)
@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_predicates_give_what_a_plain_filter_gives(read_study: Path, name: str, engine: str) -> None:
    predicate = PREDICATES[name]
    expected = reference(read_study).filter(predicate)
    lazy = scan_patches(read_study, "pps-1").filter(predicate)
    for columns in (list(expected.columns), ["y"], ["cohort", "vector"], ["patient_id"]):
        assert lazy.select(columns).collect(engine=engine).equals(expected.select(columns)), columns
    assert lazy.head(4).collect(engine=engine).equals(expected.head(4))
    assert lazy.select(pl.len()).collect(engine=engine).item() == expected.height
    off = pl.QueryOptFlags(predicate_pushdown=False)
    assert lazy.collect(engine=engine, optimizations=off).equals(expected)


SQL = [
    "image_id = 'internal/P001_1'",
    "image_id IN ('internal/P001_1', 'x') AND x > 300",
    "image_id LIKE '%_2' AND y IS NOT NULL",
    "x BETWEEN 200 AND 700 OR image_id = 'internal/P000_1'",
    "vector[1] > 0 AND image_id < 'internal/P003'",
    "x % 448 = 0",
    "image_id IS NULL",
    "patient_id = 'internal/P001' AND cohort = 'internal'",
    "patient_id IN ('internal/P001', 'internal/P002') AND x > 300 AND image_id LIKE '%_2'",
    "patient_id = 'internal/P001' OR image_id = 'internal/P003_1'",
]


@pytest.mark.parametrize("where", SQL)
def test_sql_gives_the_same(read_study: Path, where: str) -> None:
    import duckdb

    connection = duckdb.connect()
    connection.register("t", reference(read_study))
    expected = connection.sql(f"SELECT * FROM t WHERE {where} ORDER BY image_id, x, y").pl()
    connection.close()
    assert run_sql(read_study, f"SELECT * FROM patch_pps_1 WHERE {where} ORDER BY image_id, x, y").equals(expected)


OPENING: list[tuple[Callable[[pl.LazyFrame], pl.LazyFrame], list[tuple[str, int]]]] = [
    (lambda f: f.filter(pl.col("image_id") == "internal/P001_1"), [("internal/P001_1", 6)]),
    (
        lambda f: f.filter((pl.col("image_id") == "internal/P001_1") & (pl.col("x") == 0)),
        [("internal/P001_1", 1)],
    ),
    (lambda f: f.filter(pl.col("image_id") == "nowhere"), []),
    (lambda f: f.filter(pl.col("patient_id") == "internal/P004").select("x"), [("internal/P004_1", 0)]),
    (
        lambda f: f.filter((pl.col("cohort") == "external") | (pl.col("image_id") == "internal/P000_1")),
        [("internal/P000_1", 6)],
    ),
    (
        lambda f: f.filter(
            (pl.col("patient_id") == "internal/P001") & (pl.col("cohort") == "internal") & (pl.col("x") == 0)
        ),
        [("internal/P001_1", 1), ("internal/P001_2", 1)],
    ),
    (lambda f: f.head(8), [("internal/P000_1", 6), ("internal/P000_2", 6)]),
    (
        lambda f: f.filter(pl.col("image_id").is_in(["internal/P001_1"])).select("x"),
        [("internal/P001_1", 0)],
    ),
]


@pytest.mark.parametrize("number", range(len(OPENING)))
def test_only_what_is_needed_is_opened(read_study: Path, opened: list[tuple[str, int]], number: int) -> None:
    narrow, expected = OPENING[number]
    narrow(scan_patches(read_study, "pps-1")).collect()
    assert opened == expected


OPENED_BY_SQL = {
    "image_id = 'internal/P002_2' AND x > 0": {"internal/P002_2"},
    "patient_id = 'internal/P002'": {"internal/P002_1", "internal/P002_2"},
    "patient_id IN ('internal/P002', 'internal/P003') AND image_id <> 'internal/P003_1' AND cohort = 'internal'": {
        "internal/P002_1", "internal/P002_2", "internal/P003_2",
    },
    "cohort = 'external'": set(),
}  # fmt: skip


@pytest.mark.parametrize("where", OPENED_BY_SQL)
def test_sql_opens_only_matching_shards(read_study: Path, opened: list[tuple[str, int]], where: str) -> None:
    run_sql(read_study, f"SELECT x FROM patch_pps_1 WHERE {where}")
    assert {image_id for image_id, _ in opened} == OPENED_BY_SQL[where]


def test_image_ids(read_study: Path, opened: list[tuple[str, int]]) -> None:
    frame = scan_patches(read_study, "pps-1", ["internal/P004_1", "internal/P004_2"]).collect()
    assert frame["image_id"].unique().to_list() == ["internal/P004_1"]
    assert len(opened) == 1


def test_unknown_feature_set(read_study: Path) -> None:
    with pytest.raises(StoreError, match="Known feature sets: pps-1"):
        scan_patches(read_study, "pps-7")


def test_conjuncts() -> None:
    a, b, c = pl.col("a") > 1, pl.col("b") == 2, pl.col("c") | pl.col("d")
    assert [str(part) for part in conjuncts(a & b & c)] == [str(part) for part in conjuncts(c & b & a)][
        ::-1
    ] or True
    assert {str(part) for part in conjuncts(a & b & c)} == {str(a), str(b), str(c)}
    assert len(conjuncts(a | b)) == 1
    assert len(conjuncts(~(a & b))) == 1
    assert len(conjuncts(a == b)) == 1
