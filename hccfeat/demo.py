"""``hccfeat demo``: the whole way on a small simulated cohort, with a summary on one screen."""

import resource
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hccfeat.errors import InputError
from hccfeat.simulation.command import simulate_with_changes
from hccfeat.study import init_study

PRESETS = {"tiny": "mri-tiny", "demo": "mri-reduced"}
"""Recipe of MRI exams for each preset; that of slides has the preset's name."""


@dataclass
class DemoResult:
    """What the demo shows at its end."""

    study: Path
    report: Path
    simulated: bool = True
    facts: list[dict[str, Any]] = field(default_factory=list)
    headline: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[dict[str, Any]] = field(default_factory=list)


def run_demo(destination: Path, *, preset: str = "demo", seed: int = 1) -> DemoResult:
    """Simulate a delivery, make a study of it, extract both modalities and analyse.

    Parameters
    ----------
    destination : Path
        New folder; the delivery goes to ``hospital/``, the study to ``study/``.
    preset : {"tiny", "demo"}
        Size of the cohort, and the recipes that belong to it.
    seed : int
        Of the simulation.

    Raises
    ------
    InputError
        If the preset is unknown or the folder is not empty.
    """
    if preset not in PRESETS:
        raise InputError(f"--preset {preset}", "is no demo", f"Use {' or '.join(PRESETS)}.")
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(step: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[step], clock = now - clock, now

    hospital = destination / "hospital"
    simulate_with_changes(hospital, preset=preset, seed=seed, changes=[])
    lap("simulate")
    study = init_study(destination / "study", name="demo", recipe=preset, mri_recipe=PRESETS[preset])
    for cohort in ("internal", "external"):
        folder = hospital / cohort
        exams = {"mri": folder / "mri", "mri_manifest": folder / "mri_manifest.csv"} if cohort == "internal" else {}
        study.ingest(
            cohort, folder / "clinical.csv", slides=folder / "slides", manifest=folder / "manifest.csv", **exams
        )
    lap("init, ingest")
    extracted = study.extract()
    lap("extract slides")
    mri = study.extract(modality="mri")
    lap("extract MRI")
    analysed = study.analyze(("1y",), features=("pps", "mri"), external=("external",))
    lap("analyze")
    rows = study.status()
    facts = [
        {"what": "patients", "value": sum(row["patients"] for row in rows["Cohorts"])},
        {"what": "images", "value": sum(row["images"] for row in rows["Cohorts"])},
        {"what": "images excluded by quality control", "value": extracted.excluded},
        {"what": "patches embedded", "value": extracted.patches},
        {"what": "MRI exams embedded", "value": mri.embedded},
        {"what": "feature sets", "value": ", ".join([*extracted.feature_sets, *mri.feature_sets])},
        {"what": "peak memory, GB", "value": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)},
    ]
    seconds["in all"] = sum(seconds.values())
    times = [{"step": step, "seconds": round(value, 1)} for step, value in seconds.items()]
    return DemoResult(study.folder, analysed.report, analysed.simulated, facts, analysed.headline, times)
