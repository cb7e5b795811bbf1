"""Training the encoder of a feature set on denoised recurrence labels, inside the patients it is given."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from hccfeat.config import Recipe
from hccfeat.errors import AnalysisError, HccfeatError, LeakageError
from hccfeat.extraction.identity import training_sha256
from hccfeat.extraction.patch_cache import prepared_image
from hccfeat.extraction.tasks import Source, check_unchanged
from hccfeat.progress import progress_bar
from hccfeat.slides.augment import augmentation
from hccfeat.training.encoder import TrainedEncoder, TrainingImage, train_encoder
from hccfeat.training.labels import DenoisedSubset, denoised_subset

MIN_PATIENTS_PER_CLASS = 2
"""Fewer relapsed or relapse-free patients in the subset cannot train a classifier."""


@dataclass(frozen=True)
class TrainingPlan:
    """Who trains an encoder, with which label, from which images."""

    subset: DenoisedSubset
    labels: dict[str, int]
    """Patient id -> 1 relapsed, 0 relapse-free, of the denoised subset."""
    considered: list[str]
    """Patients whose outcomes set the subset's thresholds; the subset is among them."""
    sources: list[Source]
    sha256: str


def plan_training(
    candidates: pl.DataFrame, sources: list[Source], recipe: Recipe, device: str, forbidden: set[str]
) -> TrainingPlan:
    """Choose the denoised subset and the images that train an encoder.

    Parameters
    ----------
    candidates : polars.DataFrame
        Untreated training patients: ``patient_id``, ``relapsed`` (bool), ``os_months``, ``died`` (bool).
    sources : list of Source
        Images of the study.
    recipe : Recipe
        Subset fraction and everything that identifies the training.
    device : str
        Torch device; its kind enters the identity.
    forbidden : set of str
        Held-out patients.

    Raises
    ------
    LeakageError
        If a candidate is held out.
    AnalysisError
        If the subset has fewer than two patients of a class.
    """
    leaked = forbidden & set(candidates["patient_id"])
    if leaked:
        raise LeakageError(
            "encoder training", f"{len(leaked)} held-out patients are among its candidates", "Renew the split."
        )
    with_images = {source.patient_id for source in sources}
    candidates = candidates.filter(pl.col("patient_id").is_in(with_images)).sort("patient_id")
    subset = denoised_subset(
        candidates["patient_id"].to_list(),
        candidates["relapsed"].to_numpy(),
        candidates["os_months"].to_numpy(),
        recipe.training.subset,
        deaths=candidates["died"].to_numpy(),
        deaths_only=recipe.training.deaths_only,
    )
    relapsed = dict(zip(candidates["patient_id"], candidates["relapsed"], strict=True))
    labels = {patient: int(relapsed[patient]) for patient in subset.ids}
    for value, name in ((1, "relapsed"), (0, "relapse-free")):
        count = sum(1 for label in labels.values() if label == value)
        if count < MIN_PATIENTS_PER_CLASS:
            raise AnalysisError(
                f"subset {recipe.training.subset}",
                f"has {count} {name} untreated training patients with images; {MIN_PATIENTS_PER_CLASS} are needed",
                "Add patients, or take a larger subset in the recipe.",
            )
    chosen = sorted((s for s in sources if s.patient_id in labels), key=lambda s: s.image_id)
    facts = [
        {"image": s.image_id, "content": s.quick_sha256, "mpp": s.mpp_override, "label": labels[s.patient_id]}
        for s in chosen
    ]
    identity = training_sha256(recipe, facts, device.split(":")[0])
    return TrainingPlan(subset, labels, candidates["patient_id"].to_list(), chosen, identity)


def train(
    study: Path,
    plan: TrainingPlan,
    recipe: Recipe,
    *,
    device: str,
    devices: int = 1,
    nodes: int = 1,
    on_failure: Callable[[Source, HccfeatError], None],
) -> TrainedEncoder:
    """Prepare the training images and train; continues where a killed training stopped.

    Parameters
    ----------
    study : Path
        Study folder; checkpoints lie in ``.hccfeat/training/<identity>/``.
    plan : TrainingPlan
        From :func:`plan_training`.
    recipe : Recipe
        How.
    device : str
        ``cpu`` or ``cuda``.
    devices, nodes : int
        GPUs of a machine, and machines, that share every batch.
    on_failure : callable
        Told of an image that cannot be read; the others go on.

    Raises
    ------
    AnalysisError
        If no image of a class is left.
    """
    images = []
    with progress_bar("Preparing patches", len(plan.sources)) as advance:
        for source in plan.sources:
            try:
                check_unchanged(source)
                image = prepared_image(study, source, recipe, device=device, keep=True)
            except HccfeatError as error:
                on_failure(source, error)
                continue
            finally:
                advance()
            if len(image.patches):
                label = plan.labels[source.patient_id]
                images.append(TrainingImage(source.image_id, source.patient_id, label, image.patches))
    if len({image.label for image in images}) < 2:
        raise AnalysisError(
            "encoder training",
            "the images of one class are all unreadable or excluded",
            "See `hccfeat status` for the reasons.",
        )
    work = study / ".hccfeat" / "training" / plan.sha256[:16]
    augment = augmentation(recipe.training.augmentation)
    return train_encoder(images, recipe, augment=augment, work=work, device=device, devices=devices, nodes=nodes)
