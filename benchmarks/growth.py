"""Whether one more slide, and ``hccfeat status``, cost more the more slides a study has.

    python benchmarks/growth.py --folder /somewhere/empty
    python benchmarks/growth.py --folder /somewhere/empty --sizes 50 100 200

One study grows to each of ``--sizes`` images. The slides already there are copies of one small shard under their
own names (none of the steps measured opens them), committed as usual; the slides that are timed are real.
Prints milliseconds, best of several turns, and CPU milliseconds in brackets, which say the same on a busy machine;
the last column is what each thousand further slides adds to the CPU time.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.extraction.plan import Plan, plan, sources
from hccfeat.progress import set_quiet
from hccfeat.store.build import publish
from hccfeat.store.committer import Committer
from hccfeat.store.names import catalog_path, shard_path
from hccfeat.store.shards import Shard, ShardInfo, write_shard
from hccfeat.store.status import status

DIM = 128
COHORT = "internal"
FEATURE_SET = "pps-1"
SHA = "a" * 64
TURNS = 5
ONE_MORE = "one more slide: its shard is written and committed"
Times = dict[str, tuple[float, float]]


def main() -> int:
    arguments = _arguments()
    set_quiet(True)
    study = arguments.folder / "growth"
    found: dict[int, Times] = {}
    try:
        start(study)
        before = 0
        for size in arguments.sizes:
            grow(study, before, size)
            found[size] = measure(study, size)
            before = size + TURNS
    finally:
        shutil.rmtree(study, ignore_errors=True)
    print(table(found))
    if arguments.json:
        named = {size: {step: {"wall_s": w, "cpu_s": c} for step, (w, c) in t.items()} for size, t in found.items()}
        arguments.json.write_text(json.dumps(named, indent=1) + "\n", encoding="utf-8")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="a place for 1 GB in small files")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 50_000], help="ascending")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def start(study: Path) -> None:
    """An empty study with one feature set."""
    row = {"feature_set": FEATURE_SET, "base": "pps", "version": 1, "sha256": SHA, "dim": DIM, "simulated": True}
    with Committer(study) as committer:
        committer.record("ingest", COHORT, {"cohort": [{"cohort": COHORT, "simulated": True}]})
        committer.record("feature_sets", FEATURE_SET, {"feature_set": [row]})


def grow(study: Path, before: int, size: int) -> None:
    """Commit slides up to ``size``, and list those that :func:`measure` adds."""
    images = [
        {"image_id": image_id(n), "patient_id": f"{COHORT}/p{n // 2:06d}", "cohort": COHORT, "status": "ok",
         "path": f"{n}.svs", "bytes": n, "mtime_ns": n, "quick_sha256": SHA}
        for n in range(before, size + TURNS)
    ]  # fmt: skip
    one = write_shard(study, shard(size))
    template = (study / one.path).read_bytes()
    (study / one.path).unlink()
    with Committer(study) as committer:
        committer.record("ingest", f"up-to-{size}", {"image": images})
        for first in range(before, size, 500):
            last = min(first + 500, size)
            committer.adopt([_copy(study, one, template, number) for number in range(first, last)])


def image_id(number: int) -> str:
    return f"{COHORT}/i{number:06d}"


def shard(number: int) -> Shard:
    """A slide of twenty patches."""
    rng = np.random.default_rng(number)
    return Shard(
        image_id=image_id(number),
        feature_set=FEATURE_SET,
        feature_set_sha256=SHA,
        vectors=rng.standard_normal((20, DIM), dtype=np.float32),
        coords=np.zeros((20, 2), dtype=np.int64),
        skipped_coords=np.zeros((0, 2), dtype=np.int64),
        skipped_status=np.zeros(0, dtype=np.uint8),
        attributes={"status": "ok"},
    )


def _copy(study: Path, one: ShardInfo, template: bytes, number: int) -> ShardInfo:
    path = shard_path(study, FEATURE_SET, image_id(number))
    path.write_bytes(template)
    place, mtime_ns = path.relative_to(study).as_posix(), path.stat().st_mtime_ns
    mean = np.random.default_rng(number).standard_normal(DIM, dtype=np.float32)
    return replace(one, image_id=image_id(number), path=place, mtime_ns=mtime_ns, mean=mean)


def measure(study: Path, size: int) -> Times:
    """Best wall and CPU seconds of each step."""
    times: Times = {}

    def turns(step: str, work: Callable[[], Any], count: int = TURNS) -> Any:
        taken = []
        for _ in range(count):
            wall, cpu = time.perf_counter(), time.process_time()
            result = work()
            taken.append((time.perf_counter() - wall, time.process_time() - cpu))
        times[step] = (min(t[0] for t in taken), min(t[1] for t in taken))
        return result

    def idle() -> None:
        with Committer(study):
            pass

    turns("writing begins and ends", idle)
    with Committer(study) as committer:
        new = iter(range(size, size + TURNS))
        turns(ONE_MORE, lambda: committer.adopt([write_shard(study, shard(next(new)))]))
        turns("shards that were left behind are looked for", lambda: committer.adopt_found(FEATURE_SET))
        wanted = {source.image_id: source.bytes for source in turns("images are listed", lambda: sources(study))}

        def planning() -> Plan:
            return plan(study, FEATURE_SET, wanted, committer.done_images(FEATURE_SET))

        planned = turns("what is missing is planned", planning)
    assert not planned.todo, planned.todo
    turns("the readers' copy is published", lambda: publish(study))
    turns("`hccfeat status`", lambda: status(study))
    times["size of the catalog, MB"] = (catalog_path(study).stat().st_size / 1e9, 0.0)
    return times


def table(found: dict[int, Times]) -> str:
    """The Markdown table."""
    sizes = list(found)
    few, many = sizes[0], sizes[-1]
    head = " | ".join(f"{size:,} slides" for size in sizes)
    lines = [f"| step, ms (CPU ms) | {head} | each 1,000 more |", "|---|" + "---:|" * (len(sizes) + 1)]
    for step in found[few]:
        cells = [f"{w * 1e3:.1f}" + (f" ({c * 1e3:.1f})" if c else "") for w, c in (found[s][step] for s in sizes)]
        kind = 1 if found[many][step][1] else 0
        added = (found[many][step][kind] - found[few][step][kind]) / max(many - few, 1) * 1e6
        lines.append(f"| {step} | {' | '.join(cells)} | {added:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
