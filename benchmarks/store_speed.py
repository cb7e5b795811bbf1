"""How fast the store aggregates patch vectors, and answers SQL on a large catalog.

    python benchmarks/store_speed.py --folder /somewhere/empty
    python benchmarks/store_speed.py --folder /somewhere/empty --patches 20000 --images 60 --few 4 --vectors 2000

Makes a study of ``--images`` images that share ``--patches`` vectors of 128 dimensions (random numbers, in the
layout of ``docs/layout.md``), then one of ``--few`` images with as many vectors in all; 5 GB each, one at a time,
removed afterwards. Means, counts and spreads of all images are compared with a plain ``read_direct`` of the same
HDF5 files, in turns, in a process that does nothing else. The catalog of the first study answers queries in the
session of ``hccfeat sql``; one more table holds ``--vectors`` image vectors. Times are the best of ``--repeat``
turns. CPU seconds (of all cores) are there because they say the same on a busy machine.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from hccfeat.config import STUDY_FILE
from hccfeat.features.frames import stream_image_frame
from hccfeat.progress import set_quiet
from hccfeat.store.build import attach, build_catalog, detach
from hccfeat.store.names import catalog_path, shard_path
from hccfeat.store.patches import PatchFile
from hccfeat.store.records import write_record
from hccfeat.store.scan import patch_shards
from hccfeat.store.session import Session
from hccfeat.store.shards import CHUNK_ROWS, ShardInfo
from hccfeat.study import open_study

DIM = 128
FEATURE_SET = "pps-1"
SHA = "a" * 64
COHORTS = ("first", "second", "third")
POOL = 7919
"""Images take their vectors from here on in one pool of random numbers."""

COVERAGE = "SELECT * FROM coverage ORDER BY cohort"
COUNTS = "SELECT image_id, patches FROM image_pps ORDER BY image_id"
COSINE = """
    SELECT v.image_id, array_cosine_similarity(v.mean, g.mean) AS similarity
    FROM many_vectors AS v CROSS JOIN (SELECT mean FROM many_vectors WHERE image_id = 'first/v0') AS g
    ORDER BY similarity DESC LIMIT 10
"""


def main() -> int:
    arguments = _arguments()
    set_quiet(True)
    if arguments.measure:
        print(json.dumps(aggregation(arguments.folder, arguments.repeat)))
        return 0
    rows: list[dict[str, Any]] = []
    for images in (arguments.images, arguments.few):
        study = arguments.folder / f"study-{images}"
        try:
            if not catalog_path(study).is_file():
                make_study(study, images, arguments.patches // images)
                add_vectors(study, arguments.vectors if images == arguments.images else 0)
            if arguments.make:
                continue
            rows += _aggregation_rows(study, images, arguments.repeat)
            if images == arguments.images:
                rows += sql(study, images, arguments.vectors, arguments.repeat)
        finally:
            if not arguments.make:
                shutil.rmtree(study, ignore_errors=True)
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="a place for 5 GB")
    parser.add_argument("--patches", type=int, default=10_000_000)
    parser.add_argument("--images", type=int, default=30_000, help="images of the first study, and of its catalog")
    parser.add_argument("--few", type=int, default=1_000, help="images of the second study")
    parser.add_argument("--vectors", type=int, default=300_000, help="image vectors for the cosine query")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--make", action="store_true", help="only make the studies, for a later call (10 GB)")
    parser.add_argument("--measure", action="store_true", help="only aggregate the study in --folder")
    return parser.parse_args()


def make_study(study: Path, images: int, patches: int) -> None:
    """Shards of equal size in the documented layout, and their catalog."""
    shutil.rmtree(study, ignore_errors=True)  # what a killed call left
    rng = np.random.default_rng(11)
    ids = [f"{COHORTS[number % len(COHORTS)]}/i{number:06d}" for number in range(images)]
    rows = [
        {"image_id": i, "patient_id": f"{i[:-1]}x", "cohort": i.split("/")[0], "path": f"{i}.svs", "status": "ok"}
        for i in ids
    ]
    write_record(study, "ingest", "all", {"cohort": [{"cohort": name} for name in COHORTS], "image": rows})
    feature_set = {
        "feature_set": FEATURE_SET,
        "base": "pps",
        "version": 1,
        "sha256": SHA,
        "dim": DIM,
        "simulated": True,
    }
    write_record(study, "feature_sets", FEATURE_SET, {"feature_set": [feature_set]})

    def shards() -> Iterator[ShardInfo]:
        pool = rng.standard_normal((patches + POOL, DIM), dtype=np.float32)
        for number, image_id in enumerate(ids):
            vectors = pool[number % POOL :][:patches]
            path = shard_path(study, FEATURE_SET, image_id)
            write_layout(path, vectors)
            yield ShardInfo(
                image_id, FEATURE_SET, path.relative_to(study).as_posix(), path.stat().st_size,
                path.stat().st_mtime_ns, SHA, patches, 0, vectors.mean(axis=0), vectors.std(axis=0),
                {"status": "ok"}, SHA,
            )  # fmt: skip

    build_catalog(study, catalog_path(study), shards=shards())


def write_layout(path: Path, vectors: np.ndarray) -> None:
    """The datasets of a shard without its provenance and without waiting for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = np.stack(np.divmod(np.arange(len(vectors)), 100)[::-1], axis=1).astype(np.int64) * 224
    with h5py.File(path, "w") as file:
        for name, array in (("features", vectors), ("coords", grid)):
            chunks = (min(len(array), CHUNK_ROWS), array.shape[1])
            file.create_dataset(name, data=array, chunks=chunks, fletcher32=True)


def aggregation(study: Path, repeat: int) -> dict[str, dict[str, float]]:
    """Wall and CPU seconds of the plain read and of the aggregation, and the peak memory of one whole aggregation.

    They take turns on each quarter of the images, so that what else the machine does meets both; best turns add up.
    """
    _, shards = patch_shards(study, FEATURE_SET)
    stream_image_frame(study, FEATURE_SET)  # so that both find the files in the page cache
    status = Path("/proc/self/status").read_text(encoding="ascii")  # getrusage would count the parent's peak too
    memory = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    best: dict[str, list[tuple[float, float]]] = {"plain": [], "ours": []}
    for start in range(0, len(shards), -(-len(shards) // 4)):
        part = shards.slice(start, -(-len(shards) // 4))
        paths, ids = [study / path for path in part["path"]], part["image_id"].to_list()
        turns = [
            (timed(partial(plain_read, paths)), timed(partial(stream_image_frame, study, FEATURE_SET, ids)))
            for _ in range(repeat)
        ]
        for key, times in zip(best, zip(*turns, strict=True), strict=True):
            best[key].append((min(wall for wall, _ in times), min(cpu for _, cpu in times)))
    found = {
        key: {"wall_s": sum(wall for wall, _ in parts), "cpu_s": sum(cpu for _, cpu in parts)}
        for key, parts in best.items()
    }
    found["ours"]["mib"] = memory
    return found


def plain_read(paths: list[Path]) -> None:
    """Every vector once, with the calls that anybody would write."""
    for path in paths:
        with h5py.File(path, "r") as file:
            dataset = file["features"]
            vectors = np.empty(dataset.shape, dtype=np.float32)
            dataset.read_direct(vectors)


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU seconds of one call, child processes included."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    work()
    return time.perf_counter() - wall, _cpu_seconds() - cpu


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _aggregation_rows(study: Path, images: int, repeat: int) -> list[dict[str, Any]]:
    command = [sys.executable, __file__, "--measure", "--folder", str(study), "--repeat", str(repeat)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rows = []
    for key, what in (("plain", "plain `read_direct`"), ("ours", "means, counts and spreads")):
        values = found[key]
        ratios = {f"{unit}_ratio": values[unit] / found["plain"][unit] for unit in ("wall_s", "cpu_s")}
        rows.append({"what": f"{what}, {images} shards", **values, **ratios})
    rows[1]["limit"] = "1.5 times, 1 GiB"
    return rows


def add_vectors(study: Path, vectors: int) -> None:
    """One more table with many image vectors: a study of that many images would take an hour to make."""
    rng = np.random.default_rng(12)
    connection = attach(catalog_path(study), read_only=False)
    connection.execute(f"CREATE TABLE many_vectors (image_id VARCHAR, mean FLOAT[{DIM}])")
    for start in range(0, vectors, 50_000):
        count = min(50_000, vectors - start)
        flat = pa.array(rng.standard_normal(count * DIM, dtype=np.float32))
        ids = [f"{COHORTS[0]}/v{start + number}" for number in range(count)]
        incoming = pa.table({"image_id": ids, "mean": pa.FixedSizeListArray.from_arrays(flat, DIM)})
        connection.register("incoming", incoming)
        connection.execute("INSERT INTO many_vectors SELECT * FROM incoming")
        connection.unregister("incoming")
    detach(connection)


def sql(study: Path, images: int, vectors: int, repeat: int) -> list[dict[str, Any]]:
    """Times of the queries, and how many shards a filtered patch query opens."""
    (study / STUDY_FILE).write_text('name = "speed"\ndevelopment_cohort = "first"\n', encoding="utf-8")
    code = f"from hccfeat.study import open_study; open_study({str(study)!r}).sql('SELECT 1')"
    start = partial(subprocess.run, [sys.executable, "-c", code], check=True)
    turns = range(2 * repeat + 1)

    def first(statement: str) -> tuple[float, float]:
        with Session(study) as session:
            return timed(partial(session.sql, statement))

    opened = open_study(study)
    again = partial(opened.sql, COSINE)
    rows = [
        _best("study opens, first `SELECT`", "0.5 s", [first("SELECT 1") for _ in turns]),
        _best("the same with the start of Python", "0.5 s", [timed(start) for _ in turns]),
        _best(f"coverage by cohort, {images} images", "0.2 s", [first(COVERAGE) for _ in turns]),
        _best(f"count by image, {images} images", "0.2 s", [first(COUNTS) for _ in turns]),
        _best(f"cosine top 10 of {vectors}, first query of a session", "0.1 s", [first(COSINE) for _ in turns]),
        _best("the same, further queries through `study.sql`", "0.1 s", [timed(again) for _ in turns]),
    ]  # fmt: skip
    conditions = {
        "two images": (f"image_id IN ('{COHORTS[0]}/i000000', '{COHORTS[1]}/i000001')", 2),
        "one patient": (f"patient_id = '{COHORTS[0]}/i00000x' AND cohort = '{COHORTS[0]}'", 4),
    }
    for name, (where, shards) in conditions.items():
        work = partial(
            opened.sql, f"SELECT image_id, x, y, vector[1] AS v FROM patch_pps WHERE {where} AND x < 2240"
        )
        found, read = _watched(work)
        what = f"patches of {name} in a region: opens {found} of {images} shards, reads {read} vectors"
        rows.append(_best(what, f"{shards} shards", [timed(work) for _ in turns]))
    return rows


def _best(what: str, limit: str, times: list[tuple[float, float]]) -> dict[str, Any]:
    walls, cpus = zip(*times, strict=True)
    return {"what": what, "wall_s": min(walls), "cpu_s": min(cpus), "limit": limit}


def _watched(work: Callable[[], Any]) -> tuple[int, int]:
    """How many shards are opened, and how many vectors are asked for, while something runs."""
    seen = {"opened": 0, "vectors": 0}

    class Watched(PatchFile):
        def __enter__(self) -> "Watched":
            seen["opened"] += 1
            return super().__enter__()

        def vectors(self, chosen: Any = None) -> Any:
            found = super().vectors(chosen)
            seen["vectors"] += len(found)
            return found

    from hccfeat.store import scan

    usual, scan.PatchFile = scan.PatchFile, Watched  # type: ignore[misc, assignment]
    try:
        work()
    finally:
        scan.PatchFile = usual  # type: ignore[misc]
    return seen["opened"], seen["vectors"]


def table(rows: list[dict[str, Any]]) -> str:
    """The Markdown table."""
    lines = [
        "| what | seconds | CPU seconds | ratio (CPU) | peak memory | limit |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        ratio = f"{row['wall_s_ratio']:.2f} ({row['cpu_s_ratio']:.2f})" if "wall_s_ratio" in row else ""
        memory = f"{row['mib']:.0f} MiB" if "mib" in row else ""
        seconds = f"{row['wall_s']:.3f} | {row['cpu_s']:.3f}"
        lines.append(f"| {row['what']} | {seconds} | {ratio} | {memory} | {row.get('limit', '')} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
