"""How long `hccfeat analyze --endpoint 1y --endpoint 2y` takes on features of the size of paper 1.

    python benchmarks/analyze_speed.py --folder /somewhere/empty --json analyze_speed.json
    python benchmarks/analyze_speed.py --folder /somewhere/empty --profile 25
    python benchmarks/analyze_speed.py --folder /somewhere/empty -- --cross-validate

A SIMULATED internal cohort of preset ``paper`` (366 patients, 724 images) is ingested; its vectors (65 patches of
128 dimensions an image, which follow the simulated aggressiveness weakly) go straight through the committer, so
that nothing is rendered or trained. The command then runs in a process of its own, as typed; what follows ``--`` is
added to it. Prints seconds; exits with 1 above ``--limit``. With ``--profile`` the analysis runs here, and the
functions that took most time are listed. A folder that holds the study already is used again.
"""

import argparse
import cProfile
import json
import os
import pstats
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.cohort.frozen import frozen_split
from hccfeat.config import STUDY_FILE, Recipe, load_recipe
from hccfeat.progress import set_quiet
from hccfeat.simulation.cohort import Cohort, simulate_patients
from hccfeat.simulation.deliver import PlannedImage, clinical_rows, plan_images
from hccfeat.simulation.files import write_csv
from hccfeat.simulation.parameters import load_parameters
from hccfeat.store.committer import Committer
from hccfeat.store.shards import Shard, write_shard
from hccfeat.study import Study, init_study, open_study

SEED = 11
DIMENSIONS = 128
PATCHES = 65
FEATURE_SET = "pps-1"
SHA = "a" * 64
ENDPOINTS = ("1y", "2y")


def main() -> int:
    arguments = _arguments()
    set_quiet(True)
    started = time.perf_counter()
    study = (
        open_study(arguments.folder) if (arguments.folder / STUDY_FILE).is_file() else make_study(arguments.folder)
    )
    print(f"study ready after {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
    if arguments.profile:
        _profile(study, arguments.profile)
        return 0
    found = measure(study, arguments.more)
    print(
        f"analyze {' '.join(found['options'])}: {found['wall_s']:.1f} s ({found['cpu_s']:.1f} s of CPU) on ", end=""
    )
    print(f"{found['cores']} cores; report {found['report_kb']} kB")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(found["wall_s"] > arguments.limit)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="study folder, made if it is not there")
    parser.add_argument("--limit", type=float, default=90.0, help="seconds")
    parser.add_argument("--profile", type=int, default=0, metavar="LINES")
    parser.add_argument("--json", type=Path)
    parser.add_argument("more", nargs="*", help="further options of the command, after --")
    return parser.parse_args()


def measure(study: Study, more: list[str]) -> dict[str, Any]:
    """Run the command in a process of its own; seconds, cores and the size of the report."""
    options = [part for endpoint in ENDPOINTS for part in ("--endpoint", endpoint)] + more
    command = [
        sys.executable,
        "-c",
        "import sys; from hccfeat.cli import main; sys.exit(main())",
        "analyze",
        "--study",
        str(study.folder),
        *options,
        "--json",
    ]
    before = os.times()
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, os.times()
    if done.returncode:
        sys.exit(done.stderr)
    report = Path(json.loads(done.stdout)["report"])
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "options": options, "wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "cores": len(os.sched_getaffinity(0)),
        "report_kb": report.stat().st_size // 1000,
    }  # fmt: skip


def _profile(study: Study, lines: int) -> None:
    profile = cProfile.Profile()
    profile.enable()
    study.analyze(ENDPOINTS)
    profile.disable()
    statistics = pstats.Stats(profile, stream=sys.stdout)
    statistics.sort_stats("tottime").print_stats(lines)
    statistics.sort_stats("cumulative").print_stats("hccfeat", 2 * lines)


def make_study(folder: Path) -> Study:
    """A study with the clinical table of preset ``paper``, the patients of its images, and made-up vectors."""
    parameters = load_parameters("paper", {})
    cohort = simulate_patients(parameters, SEED, "internal")
    init_study(folder, name="analyze-speed", recipe="paper")
    clinical = folder / "clinical.csv"
    write_csv(clinical, clinical_rows(parameters, cohort, SEED))
    study = open_study(folder)
    study.ingest("internal", clinical)
    images = plan_images(parameters, cohort, SEED)
    with Committer(folder) as committer:
        committer.record("ingest", "images", {"image": [_image_row(cohort, image) for image in images]})
        committer.publish()
        split = frozen_split(folder, committer, study.config)
        trains = committer.query(
            "SELECT s.patient_id FROM split AS s JOIN patient AS p USING (patient_id) WHERE s.split = ? "
            "AND s.role = 'train' AND coalesce(p.treatment, 'none') = 'none' ORDER BY s.patient_id",
            [split],
        )["patient_id"].to_list()
        _add_feature_set(folder, committer, load_recipe("paper"), trains)
        committer.adopt([write_shard(folder, shard) for shard in _shards(cohort, images)])
        committer.publish()
    return study


def _patient(cohort: Cohort, image: PlannedImage) -> str:
    return f"internal/{cohort.patient_id[image.patient]}"


def _image_row(cohort: Cohort, image: PlannedImage) -> dict[str, Any]:
    name = f"internal/{image.stem}"
    about = {"image_id": name, "patient_id": _patient(cohort, image), "cohort": "internal"}
    return {**about, "status": "ok", "path": f"not-there/{name}.png", "quick_sha256": SHA, "modality": "slide"}


def _add_feature_set(folder: Path, committer: Committer, recipe: Recipe, seen: list[str]) -> None:
    row = {
        "feature_set": FEATURE_SET, "base": "pps", "version": 1, "sha256": SHA, "encoder": recipe.encoder.name,
        "weights_sha256": SHA, "dim": DIMENSIONS, "dtype": "float32",
        "recipe": json.dumps(recipe.model_dump(mode="json")), "simulated": True, "fold": None, "modality": "slide",
    }  # fmt: skip
    patients = [{"feature_set": FEATURE_SET, "patient_id": patient, "role": "trained"} for patient in seen]
    committer.record("feature_sets", FEATURE_SET, {"feature_set": [row], "feature_set_patient": patients})
    model = folder / "models" / FEATURE_SET
    model.mkdir(parents=True)
    (model / "recipe.json").write_text("{}", encoding="utf-8")


def _shards(cohort: Cohort, images: list[PlannedImage]) -> list[Shard]:
    """Vectors of patches: aggressiveness in one of 128 directions, and noise of patient, image and patch."""
    rng = np.random.default_rng(SEED)
    direction = rng.normal(size=DIMENSIONS) / np.sqrt(DIMENSIONS)
    own = rng.normal(size=(len(cohort), DIMENSIONS)) + 3 * cohort.aggressiveness[:, None] * direction
    found = []
    for image in images:
        noise = 0.3 * rng.normal(size=DIMENSIONS) + rng.normal(size=(PATCHES, DIMENSIONS))
        grid = 448 * np.stack([np.arange(PATCHES) % 9, np.arange(PATCHES) // 9], axis=1)
        colours = dict(zip(("mean_red", "mean_green", "mean_blue"), rng.uniform(120, 220, 3).tolist(), strict=True))
        found.append(
            Shard(
                image_id=f"internal/{image.stem}",
                feature_set=FEATURE_SET,
                feature_set_sha256=SHA,
                vectors=(own[image.patient] + noise).astype(np.float32),
                coords=grid.astype(np.int64),
                skipped_coords=np.zeros((0, 2), dtype=np.int64),
                skipped_status=np.zeros(0, dtype=np.uint8),
                attributes={"status": "ok", "reason": "", "patch_size": 224, "patch_size_level0": 448, **colours},
            )
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
