"""Whether memory grows with the number of slides that one process embeds.

    python benchmarks/memory.py --folder /somewhere/empty
    python benchmarks/memory.py --folder /somewhere/empty --slides 40 --slide CMU-1-Small-Region.svs

Runs ``--slides`` tiny slides through what ``extract`` runs, in one process: file, tissue, patches, stain, network
(recipe ``tiny``, untrained), published shard, commit. The slide is a simulated one of 256 px, or ``--slide``, under
as many names. Prints the resident memory, open files and threads of the process after each tenth of the slides, and
by how much memory grew from the second tenth on. Exits with 1 if that is more than ``--limit`` MiB.
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from hccfeat.config import Recipe, load_recipe
from hccfeat.extraction.executors import run_tasks
from hccfeat.extraction.tasks import EmbedTask, Source, embed_image
from hccfeat.files import quick_hash
from hccfeat.models.weights import save_weights
from hccfeat.progress import set_quiet
from hccfeat.store.committer import Committer
from hccfeat.training.encoder import build_encoder

COHORT = "internal"
FEATURE_SET = "pps-1"
SHA = "a" * 64
MIB = 1 << 20


def main() -> int:
    arguments = _arguments()
    set_quiet(True)
    study = arguments.folder / "memory"
    try:
        rows = measure(study, arguments.slides, arguments.slide)
    finally:
        shutil.rmtree(study, ignore_errors=True)
    grown = rows[-1]["resident_mib"] - rows[min(1, len(rows) - 1)]["resident_mib"]
    print(table(rows))
    print(f"\nFrom the second line to the last: {grown:+.1f} MiB.")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "grown_mib": grown}, indent=1) + "\n", encoding="utf-8")
    return int(grown > arguments.limit)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--slides", type=int, default=1_000)
    parser.add_argument("--slide", type=Path, help="a real slide instead of the simulated one")
    parser.add_argument("--limit", type=float, default=32.0, help="MiB")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def measure(study: Path, slides: int, given: Path | None) -> list[dict[str, Any]]:
    """Embed and commit all slides; one row for each tenth of them."""
    tasks = _tasks(study, slides, given)
    every = max(1, slides // 10)
    started, patches, rows = time.perf_counter(), 0, []
    with Committer(study) as committer:
        dim = build_encoder(tasks[0].recipe, trunk_weights="none").embedding_dim
        row = {
            "feature_set": FEATURE_SET,
            "base": "pps",
            "version": 1,
            "sha256": SHA,
            "dim": dim,
            "simulated": True,
        }
        committer.record("feature_sets", FEATURE_SET, {"feature_set": [row]})
        for done, outcome in enumerate(run_tasks(embed_image, tasks, 0), start=1):
            if outcome.shard is None:
                raise SystemExit(f"{outcome.image_id}: {outcome.failure}")
            committer.adopt([outcome.shard])
            patches += outcome.shard.patches
            if done % every == 0:
                seconds = time.perf_counter() - started
                rows.append({"slides": done, "patches": patches, "seconds": seconds, **_process()})
    return rows


def _tasks(study: Path, slides: int, given: Path | None) -> list[EmbedTask]:
    """The same slide under many names, and an untrained network."""
    torch.manual_seed(0)
    recipe: Recipe = load_recipe("tiny")
    study.mkdir(parents=True, exist_ok=True)
    weights = study / "weights.safetensors"
    sha256 = save_weights(weights, build_encoder(recipe, trunk_weights="none"), {})
    slide = given or study / "slide.png"
    if given is None:
        Image.fromarray(simulated_tissue()).save(slide)
    content, facts = quick_hash(slide), slide.stat()
    mpp = None if given else 1.0
    sources = [
        Source(
            f"{COHORT}/s{n:05d}", f"{COHORT}/p{n:05d}", str(slide), mpp, facts.st_size, facts.st_mtime_ns, content
        )
        for n in range(slides)
    ]
    return [EmbedTask(study, s, FEATURE_SET, SHA, weights, sha256, recipe, "cpu") for s in sources]


def simulated_tissue(side: int = 256) -> np.ndarray:
    """Dark nuclei in pink tissue on a white border: uint8 (side, side, 3)."""
    rng = np.random.default_rng(3)
    picture = np.full((side, side, 3), 245.0)
    inside = slice(side // 16, -side // 16)
    picture[inside, inside] = (215, 150, 190)
    for x, y in rng.integers(side // 8, side - side // 8, (side, 2)):
        picture[y : y + 4, x : x + 4] = (90, 60, 140)
    return np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


def _process() -> dict[str, float]:
    """Resident memory, open files and threads of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        "resident_mib": pages * os.sysconf("SC_PAGE_SIZE") / MIB,
        "open_files": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "threads": sum(1 for _ in Path("/proc/self/task").iterdir()),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The Markdown table; the ratio is to the second line."""
    base = rows[min(1, len(rows) - 1)]["resident_mib"]
    lines = ["| slides | patches | resident memory, MiB | ratio | open files | threads |", "|---:" * 6 + "|"]
    for row in rows:
        size = row["resident_mib"]
        memory = f"{size:.1f} | {size / base:.3f}"
        lines.append(f"| {row['slides']} | {row['patches']} | {memory} | {row['open_files']} | {row['threads']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
