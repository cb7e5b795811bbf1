"""Denoised labels through simulated images and CNN-SASM: the same arms, fewer replicates."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hccfeat.config import Recipe, load_recipe
from hccfeat.evidence.paired import Paired, paired
from hccfeat.evidence.patients import ARMS, Floats, Labels, Untreated, arm_labels, untreated
from hccfeat.evidence.record import Part, Record, Row
from hccfeat.evidence.running import run_missing
from hccfeat.evidence.settings import Denoising, ImageStudy, Settings, identity
from hccfeat.evidence.stand_in import area
from hccfeat.simulation.cohort import Cohort
from hccfeat.simulation.deliver import PlannedImage, render_image
from hccfeat.simulation.files import write_png
from hccfeat.simulation.parameters import Parameters, load_parameters
from hccfeat.stats.discrimination import weighted_auroc
from hccfeat.stats.resampling import bootstrap, percentile_interval
from hccfeat.training.threads import pinned_threads

Patches = dict[int, list[NDArray[np.uint8]]]
"""Prepared patches of each image of an untreated patient, by the patient's place; excluded images have none."""

KEYS = ("seed", "gamma", "arm")
COLUMNS = (*KEYS, "auroc_1y", "auroc_a", "n_1y", "events_1y", "n_a", "trained", "epochs", "scores")
DECIMALS = 6


def run_images(record: Record, settings: Settings, seeds: tuple[int, ...]) -> Part:
    """Train and judge every arm of every seed and gamma that is not kept yet; each is kept when it is finished."""
    study = settings.denoising
    recipe = image_recipe(study.images)
    facts = study.images.model_dump(mode="json", exclude={"seeds", "bootstraps", "gamma"})
    facts |= {"subset": study.subset, "horizon_months": study.horizon_months}
    facts |= {"effective_recipe": recipe.model_dump(mode="json", exclude={"prognostic"})}
    part = record.part("images", identity(settings, **facts), COLUMNS, len(KEYS))
    todo = [(seed, gamma, arm) for seed in seeds for gamma in study.images.gamma for arm in ARMS]
    prepared: dict[int, Patches] = {}

    def work(seed: int, gamma: float, arm: str) -> Row:
        if seed not in prepared:
            prepared.clear()
            prepared[seed] = prepared_patches(study, recipe, seed)
        return _replicate(study, recipe, prepared[seed], seed, gamma, arm)

    with pinned_threads(1):
        return run_missing(record, part, "Denoising, images", todo, work)


def image_recipe(study: ImageStudy) -> Recipe:
    """The recipe of the study: a shipped one with what the study changes."""
    fields = load_recipe(study.recipe).model_dump(mode="json")
    fields["name"] = f"evidence-{study.recipe}"
    fields["patches"] |= study.patches
    fields["encoder"]["options"] |= study.options
    fields["training"] |= study.training
    return Recipe.model_validate(fields)


def prepared_patches(study: Denoising, recipe: Recipe, seed: int) -> Patches:
    """Render the cores of a seed's untreated patients and prepare them as ``extract`` does, for every gamma."""
    from hccfeat.slides.prepare import prepare_image

    parameters = _rendering(study.images)
    people, cohort = _people(study, seed, study.images.gamma[0])
    found: Patches = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "core.png"
        for place, row in enumerate(people.row.tolist()):
            found[place] = []
            for number in range(1, study.images.images_per_patient + 1):
                write_png(path, _core(parameters, cohort, row, number, seed))
                image_id = f"{seed}/{place}_{number}"
                found[place].append(
                    prepare_image(path, image_id, recipe, mpp=parameters.size("internal").mpp).patches
                )
    return found


def _core(parameters: Parameters, cohort: Cohort, row: int, number: int, seed: int) -> NDArray[np.uint8]:
    return render_image(parameters, cohort, PlannedImage(row, number, ""), seed)[0].rgb


def _rendering(study: ImageStudy) -> Parameters:
    return load_parameters("demo", {"width_px": study.width_px})


def _people(study: Denoising, seed: int, gamma: float) -> tuple[Untreated, Cohort]:
    patients = study.images.training_patients + study.images.held_out_patients
    return untreated(patients, seed, pi=study.images.pi, gamma=gamma, horizon=study.horizon_months)


def _replicate(study: Denoising, recipe: Recipe, patches: Patches, seed: int, gamma: float, arm: str) -> Row:
    sizes = study.images
    people, _ = _people(study, seed, gamma)
    train = people.take(slice(sizes.training_patients))
    labels = arm_labels(train, study.subset, seed)[arm]
    times = round(sizes.training_patients / len(labels.rows))
    schedule = {"max_epochs": times * sizes.epochs, "patience": times * sizes.epochs, "seed": seed}
    schedule |= {"step_epochs": times * sizes.step_epochs}
    training = recipe.training.model_copy(update=schedule)
    judged = range(sizes.training_patients, len(people))
    scores = _scores(recipe.model_copy(update={"training": training}), patches, labels, judged)
    held_out = people.take(slice(sizes.training_patients, None))
    shown = ~np.isnan(scores)
    labelled = shown & ~np.isnan(held_out.early)
    early = held_out.early[labelled] == 1
    return [
        round(area(early, scores[labelled]), DECIMALS),
        round(area(held_out.aggressiveness[shown] > 0, scores[shown]), DECIMALS),
        int(labelled.sum()), int(early.sum()), int(shown.sum()), len(labels.rows), schedule["max_epochs"],
        [None if np.isnan(score) else round(float(score), DECIMALS) for score in scores],
    ]  # fmt: skip


def _scores(recipe: Recipe, patches: Patches, labels: Labels, judged: range) -> Floats:
    """Train the encoder on an arm and give each judged patient the mean probability over their images."""
    from hccfeat.slides.augment import augmentation
    from hccfeat.training.data import TrainingImage
    from hccfeat.training.embed import embed
    from hccfeat.training.encoder import load_encoder, train_encoder

    months = [None] * len(labels.rows) if labels.months is None else labels.months.tolist()
    images = [
        TrainingImage(f"{place:05d}/{number}", f"{place:05d}", int(y), image, time_)
        for place, y, time_ in zip(labels.rows.tolist(), labels.y.tolist(), months, strict=True)
        for number, image in enumerate(patches[place])
    ]
    with tempfile.TemporaryDirectory() as work:
        trained = train_encoder(
            images, recipe, augment=augmentation(recipe.training.augmentation), work=Path(work), device="cpu",
            threads=1, progress=False,
        )  # fmt: skip
        encoder = load_encoder(trained.weights, recipe)
    shown = [image for place in judged for image in patches[place]]
    probabilities = np.split(
        embed(encoder, np.concatenate(shown))[1], np.cumsum([len(image) for image in shown])[:-1]
    )
    of_image = iter([float(found.mean()) if len(found) else np.nan for found in probabilities])
    of_patient = [[next(of_image) for _ in patches[place]] for place in judged]
    return np.array([np.nan if np.isnan(found).all() else np.nanmean(found) for found in of_patient])


def complete(part: Part, study: Denoising) -> Part:
    """The replicates of the seeds for which every arm and gamma is there."""
    full = len(ARMS) * len(study.images.gamma)
    seeds = [row[0] for row in part.rows]
    rows = [row for row in part.rows if seeds.count(row[0]) == full]
    return Part(part.name, part.parameters, part.columns, part.keys, rows, part.seconds)


def gains(part: Part, study: Denoising, arm: str, measure: str, gamma: float) -> tuple[Paired, str]:
    """Denoised labels minus an arm over the seeds, and the interval of a bootstrap of the held-out patients."""
    seeds = sorted({row["seed"] for row in part.select(gamma=gamma, arm=arm)})
    pairs = [[part.select(seed=seed, gamma=gamma, arm=name)[0] for name in ("drl", arm)] for seed in seeds]
    found = paired([drl[measure] - other[measure] for drl, other in pairs])
    resampled = [np.subtract(*(_resampled(study, row, measure) for row in (drl, other))) for drl, other in pairs]
    lower, upper, _ = percentile_interval(np.mean(resampled, axis=0))
    return found, "none" if lower is None or upper is None else f"{lower:+.3f} to {upper:+.3f}"


def _resampled(study: Denoising, row: dict[str, Any], measure: str) -> Floats:
    """AUROC of a kept replicate over patient resamples, the same ones for every arm."""
    people, _ = _people(study, row["seed"], row["gamma"])
    held_out = people.take(slice(study.images.training_patients, None))
    scores = np.array([np.nan if score is None else score for score in row["scores"]])
    outcome = held_out.early if measure == "auroc_1y" else (held_out.aggressiveness > 0).astype(np.float64)
    usable = ~np.isnan(scores) & ~np.isnan(outcome)
    statistic = weighted_auroc(outcome[usable] == 1, scores[usable])
    return bootstrap(statistic, int(usable.sum()), study.images.bootstraps, row["seed"])
