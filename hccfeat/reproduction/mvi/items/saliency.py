"""Item 69: where the student looks, one judged exam of each grade."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hccfeat.config import GRADES, PHASES
from hccfeat.errors import AnalysisError
from hccfeat.explanation.volume_picture import overlay_nifti, saliency_png
from hccfeat.explanation.volume_saliency import saliency_of_exam
from hccfeat.extraction.volumes import ExamSource, load_prepared
from hccfeat.mri.readers import read_volume
from hccfeat.reproduction.blocks import Block, Download, Item, Note, NotRunError, Picture
from hccfeat.reproduction.mvi.cell import CellResult
from hccfeat.reproduction.mvi.cells import KEPT_FOLD
from hccfeat.reproduction.mvi.context import MviContext
from hccfeat.training.mri_data import Exam
from hccfeat.training.mri_methods import OURS
from hccfeat.training.mri_predict import load_mri

HOW = (
    f"Of the patients of fold {KEPT_FOLD}, whom this network has not seen, the one of each grade to whom it gives "
    "the highest probability of that grade. Occlusion hides one box of one phase after the other and takes the "
    "fall of the grade's score. A map says what moved this network, not which tissue causes invasion."
)


def saliency(context: MviContext) -> list[Block]:
    """Item 69: occlusion maps of ours, as pictures and as NIfTI on the grid of the volumes as read."""
    if OURS not in context.preset.methods:
        raise NotRunError(f"The preset does not train {OURS}.")
    cell = next(cell for cell in context.cells if cell.fold == KEPT_FOLD and OURS in cell.methods)
    if cell.weights is None:
        raise AnalysisError(
            "saliency", "the kept weights are gone", f"Delete the cells of fold {KEPT_FOLD} and repeat."
        )
    network = load_mri(cell.weights)
    blocks: list[Block] = [Note(HOW)]
    for grade, name in enumerate(GRADES):
        exam, source, probability = _chosen(context, cell, grade)
        prepared = [load_prepared(Path(str(path))) for path in exam.volumes]
        volumes = np.stack([one.array for one in prepared])
        maps = saliency_of_exam(network, volumes, grade)
        title = f"Grade {name}, given a probability of {probability:.2f}"
        picture = saliency_png(
            volumes,
            maps,
            context.recipe.volumes.spacing_mm,
            title,
            note=f"occlusion, {OURS}, fold {KEPT_FOLD}",
            simulated=context.simulated,
        )
        blocks.append(Picture(picture, f"{title}: places that speak for {name}"))
        for place, phase in enumerate(PHASES):
            volume = read_volume(source.volumes[place].path, f"exam of grade {name}, {phase.upper()}")
            overlay = overlay_nifti(maps[place], prepared[place], volume, simulated=context.simulated)
            about = f"map of {name}, {phase.upper()}, on the grid of the volume as read"
            blocks.append(Download(f"saliency/{name}-{phase}.nii.gz", _writer(overlay), about))
    return blocks


def _chosen(context: MviContext, cell: CellResult, grade: int) -> tuple[Exam, ExamSource, float]:
    exams = {exam.exam_id: exam for exam in context.cohort.exams}
    sources = {source.exam_id: source for source in context.sources}
    probabilities = cell.methods[OURS].probabilities[:, grade]
    judged = [
        (float(p), exam_id) for p, exam_id in zip(probabilities, cell.exam_ids, strict=True)
        if exams[exam_id].label == grade
    ]  # fmt: skip
    probability, exam_id = max(judged)
    return exams[exam_id], sources[exam_id], probability


def _writer(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


ITEMS = (Item(69, "Added: saliency", "Where the student looks", saliency),)
