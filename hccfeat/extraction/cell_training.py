"""Training and judging one cell."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.errors import AnalysisError
from hccfeat.extraction.cell_files import JudgedImage, write_cell
from hccfeat.extraction.cell_patches import Patches, PatchMemory
from hccfeat.extraction.cell_plan import CellPlan
from hccfeat.extraction.cell_specs import RECURRENCE, CellSpec
from hccfeat.extraction.tasks import Source
from hccfeat.models import Encoder
from hccfeat.slides.augment import augmentation
from hccfeat.training.data import TrainingImage
from hccfeat.training.embed import embed
from hccfeat.training.encoder import TrainedEncoder, load_encoder, train_encoder
from hccfeat.training.protocol import FINAL

EMBEDDED_AT_ONCE = 512
"""Patches gathered before they go through the encoder."""


def make_cell(
    path: Path,
    work: Path,
    spec: CellSpec,
    plan: CellPlan,
    memory: PatchMemory,
    draw: "ExternalDraw",
    device: str,
) -> None:
    """Train the encoder of a cell, let it judge, and publish the cell.

    Parameters
    ----------
    path : Path
        File of the cell; published last.
    work : Path
        Folder of the checkpoint, from which a killed training goes on.
    spec, plan
        Which cell, who trains and who judges.
    memory : PatchMemory
        Gives the patches.
    draw : ExternalDraw
        Limits the patches of external images.
    device : str
        Torch device.

    Raises
    ------
    AnalysisError, ConfigError
        If the encoder cannot be trained on these patients, or there is nothing to judge.
    """
    started = time.perf_counter()
    images = [
        TrainingImage(
            s.image_id, s.patient_id, plan.training.labels[s.patient_id], memory.load(s, plan.recipe).pixels
        )
        for s in plan.training.sources
    ]
    augment = augmentation(plan.recipe.training.augmentation)
    trained = train_encoder(images, plan.recipe, augment=augment, work=work, device=device, progress=False)
    encoder = load_encoder(trained.weights, plan.recipe)
    chosen = ((source, draw(source, memory.load(source, plan.recipe))) for source in plan.judged)
    judged = list(judge(encoder, ((source, patches) for source, patches in chosen if len(patches)), device))
    if not judged:
        raise AnalysisError(f"cell {spec}", "has no image with patches to judge", "Add images, or use fewer folds.")
    facts = _facts(spec, plan, trained, images) | {
        "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
        "images_without_patches": len(plan.judged) - len(judged),
    }
    seconds = time.perf_counter() - started
    seen = frozenset(plan.training.considered)
    write_cell(path, spec, seen, facts, judged, vectors=spec.part == FINAL, seconds=seconds)


class ExternalDraw:
    """Keeps at most ``most`` patches of each image of one cohort, drawn once for all cells (P1 reading 22)."""

    def __init__(self, cohort: str | None, most: int, seed: int) -> None:
        self.cohort, self.most, self.seed = cohort, most, seed

    def __call__(self, source: Source, patches: Patches) -> Patches:
        """Patches of ``source`` that are judged."""
        if source.image_id.partition("/")[0] != self.cohort:
            return patches
        return patches.drawn(self.most, self.seed, "external patches", source.image_id)


def judge(encoder: Encoder, images: Iterator[tuple[Source, Patches]], device: str) -> Iterator[JudgedImage]:
    """Embed images in groups of some hundred patches, in their order.

    Yields
    ------
    JudgedImage
        One per image.
    """
    group: list[tuple[Source, Patches]] = []
    for pair in images:
        group.append(pair)
        if sum(len(patches) for _, patches in group) >= EMBEDDED_AT_ONCE:
            yield from _judge_group(encoder, group, device)
            group = []
    if group:
        yield from _judge_group(encoder, group, device)


def _judge_group(encoder: Encoder, group: list[tuple[Source, Patches]], device: str) -> Iterator[JudgedImage]:
    pixels = np.concatenate([patches.pixels for _, patches in group])
    vectors, probabilities = embed(encoder, pixels, device=device)
    start = 0
    for source, patches in group:
        rows = slice(start, start + len(patches))
        yield JudgedImage(source.image_id, source.patient_id, patches.coords, probabilities[rows], vectors[rows])
        start = rows.stop


def _facts(spec: CellSpec, plan: CellPlan, trained: TrainedEncoder, images: list[TrainingImage]) -> dict[str, Any]:
    used = [image for image in images if len(image.patches)]
    return {
        "patients_trained": len(trained.patients_trained),
        "images": len(used),
        "patches": sum(len(image.patches) for image in used),
        "epochs": trained.stopped_epoch,
        "best_epoch": trained.best_epoch,
        "history": trained.history,
        "identity": plan.training.sha256,
        "considered": len(plan.training.considered),
        # survival selects nobody where an endpoint's labels train
        "censored": plan.training.subset.censored if spec.labels == RECURRENCE else None,
    }
