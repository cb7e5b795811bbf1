"""Stage 1 of P1: train an encoder on the patients it is given, resumably."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hccfeat.config import Recipe
from hccfeat.errors import ConfigError, StoreError
from hccfeat.files import sha256_of
from hccfeat.models import Encoder, create
from hccfeat.models.weights import load_weights, read_metadata, save_tensors, weights_sha256
from hccfeat.training.data import TrainingImage, check_images, fingerprint, hold_out
from hccfeat.training.devices import resolve_device, resolve_precision
from hccfeat.training.job import Best, Job
from hccfeat.training.seeds import derived_seed
from hccfeat.training.threads import pinned_threads

Augment = Callable[[torch.Tensor, torch.Generator | None], torch.Tensor]
WEIGHTS_FILE = "weights.safetensors"
CHECKPOINT_FILE = "last.ckpt"
WEIGHTS_SECONDS = 300.0


@dataclass(frozen=True)
class TrainedEncoder:
    """Result of a training.

    Attributes
    ----------
    weights : Path
        safetensors file; its metadata hold recipe and history.
    weights_sha256 : str
        Hash of that file.
    history : list of dict
        One per epoch: epoch (from 1), learning_rate, train_loss, and val_loss where there is one.
    best_epoch, stopped_epoch : int
        Epoch of the weights kept, and the last one run (from 1).
    patients_trained, patients_stopped : tuple of str
        Patients whose patches gave gradients, and those whose loss decided about stopping; sorted.
    """

    weights: Path
    weights_sha256: str
    history: list[dict[str, Any]]
    best_epoch: int
    stopped_epoch: int
    patients_trained: tuple[str, ...]
    patients_stopped: tuple[str, ...]


def build_encoder(recipe: Recipe, *, trunk_weights: str | None = None) -> Encoder:
    """Make the encoder of a recipe, untrained.

    Parameters
    ----------
    recipe : Recipe
        Its ``encoder`` and ``patches.size_px`` are used.
    trunk_weights : str, optional
        Instead of the recipe's; ``none`` where trained weights follow.

    Raises
    ------
    ConfigError
        If the encoder or an option is unknown.
    """
    options = dict(recipe.encoder.options)
    if clash := sorted({"input_px", "trunk_weights"} & set(options)):
        raise ConfigError(
            f"encoder.options of recipe {recipe.name}",
            f"must not hold {', '.join(clash)}",
            "Use patches.size_px and encoder.trunk_weights.",
        )
    weights = recipe.encoder.trunk_weights if trunk_weights is None else trunk_weights
    return create(recipe.encoder.name, input_px=recipe.patches.size_px, trunk_weights=weights, **options)


def load_encoder(weights: Path, recipe: Recipe) -> Encoder:
    """Make the encoder of a recipe with trained weights, in evaluation mode.

    Raises
    ------
    StoreError
        If the file is missing, damaged or of another network.
    """
    encoder = build_encoder(recipe, trunk_weights="none")
    load_weights(weights, encoder)
    return encoder.eval()


def train_encoder(
    images: Sequence[TrainingImage],
    recipe: Recipe,
    *,
    augment: Augment | None,
    work: Path,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    workers: int = 0,
    threads: int | None = None,
    progress: bool = True,
) -> TrainedEncoder:
    """Train the encoder of a recipe (docs/methods-recurrence.md; P1 readings 5, 10, 11).

    Cross-entropy on logits, or Cox's partial likelihood where the images come with survival times; Adam, a stepwise
    learning rate, early stopping, and the weights of the epoch with the lowest monitored loss. After an epoch, if
    the last time is some seconds ago, the state goes to ``work/last.ckpt``; called again with equal arguments after
    a kill, the training continues from there, and on a CPU with equal threads ends with the bytes that an
    undisturbed run would have given. A finished training is not repeated.

    Parameters
    ----------
    images : sequence of TrainingImage
        Training patients only, in any order; images without patches are passed over.
    recipe : Recipe
        ``encoder``, ``training`` and ``patches.size_px`` are used.
    augment : callable or None
        Maps float RGB (B, 3, S, S) in 0..1 and a generator of the same device to the same shape.
    work : Path
        Folder of the checkpoint and the weights, made if missing; one training at a time.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:<number>``.
    devices : int
        Number of GPUs (or CPU processes) that share every batch; with more than one, ``augment`` must be
        picklable, for a process is spawned for each.
    nodes : int
        Machines that share every batch, with ``devices`` each: this is called on every one of them with equal
        arguments and a shared ``work``, under NODE_RANK, MASTER_ADDR and MASTER_PORT. The first one publishes.
    workers : int
        Processes that load patches.
    threads : int, optional
        Threads of torch; None leaves them alone.
    progress : bool
        Show a progress bar.

    Raises
    ------
    ConfigError
        If the recipe does not fit (heads, batch larger than the number of patches, absent device).
    InputError, AnalysisError
        If the images are inconsistent or of one class, or the loss stops being a number.
    """
    kept = check_images(images, size_px=recipe.patches.size_px)
    target = resolve_device(device)
    held_out = _held_out(kept, recipe)
    train = [image for image in kept if image.patient_id not in held_out]
    stop = [image for image in kept if image.patient_id in held_out]
    _check_batch(train, recipe, devices * nodes)
    precision = resolve_precision(recipe.training.precision, target)
    identity = _identity(kept, recipe, precision, devices * nodes)
    weights = work / WEIGHTS_FILE
    if not _finished(weights, identity):
        from hccfeat.training.loop import fit

        work.mkdir(parents=True, exist_ok=True)
        with pinned_threads(threads), _own_random_state():
            torch.manual_seed(derived_seed(recipe.training.seed, "initial weights"))
            job = Job(
                encoder=build_encoder(recipe),
                recipe=recipe.training,
                train=train,
                stop=stop,
                augment=augment,
                checkpoint=work / CHECKPOINT_FILE,
                identity=identity,
                device=target,
                devices=devices,
                nodes=nodes,
                workers=workers,
                threads=threads,
                precision=precision,
                progress=progress,
            )
            best = fit(job)
        if best is not None:
            _publish(weights, best, recipe, identity)
        _wait_for(weights, identity)
    (work / CHECKPOINT_FILE).unlink(missing_ok=True)
    about = read_metadata(weights)
    return TrainedEncoder(
        weights=weights,
        weights_sha256=weights_sha256(weights),
        history=about["history"],
        best_epoch=about["best_epoch"],
        stopped_epoch=about["history"][-1]["epoch"],
        patients_trained=tuple(sorted({image.patient_id for image in train})),
        patients_stopped=tuple(sorted(held_out)),
    )


def _publish(weights: Path, best: Best, recipe: Recipe, identity: str) -> None:
    about = {
        "kind": "encoder",
        "encoder": recipe.encoder.name,
        "recipe": recipe.model_dump(mode="json"),
        "identity": identity,
        "history": best.history,
        "best_epoch": best.best_epoch,
    }
    save_tensors(weights, best.tensors, about)


def _wait_for(weights: Path, identity: str) -> None:
    """Wait until the first machine has published the weights, and this one sees them."""
    deadline = time.monotonic() + WEIGHTS_SECONDS
    while not _finished(weights, identity):
        if time.monotonic() > deadline:
            problem = f"were not published within {WEIGHTS_SECONDS:g} s after the training"
            remedy = "Give all machines the same shared study folder, and run the command again."
            raise StoreError(str(weights), problem, remedy)
        time.sleep(0.2)


def _held_out(images: Sequence[TrainingImage], recipe: Recipe) -> set[str]:
    training = recipe.training
    if training.monitor == "train_loss":
        return set()
    return hold_out(images, fraction=training.validation_fraction, seed=training.seed)


def _check_batch(train: Sequence[TrainingImage], recipe: Recipe, devices: int) -> None:
    patches = sum(len(image.patches) for image in train)
    size = recipe.training.batch_size
    if patches < size:
        raise ConfigError(
            f"training.batch_size of recipe {recipe.name}",
            f"is {size}, more than the {patches} training patches",
            "Lower it, or give more images.",
        )
    if devices < 1 or size % devices:
        raise ConfigError(
            f"training.batch_size of recipe {recipe.name}",
            f"is {size}, which {devices} devices cannot share evenly",
            "Choose another number of devices.",
        )


def _identity(images: Sequence[TrainingImage], recipe: Recipe, precision: str, devices: int) -> str:
    """Hash of everything that decides the trained weights."""
    fields = {"encoder": recipe.encoder.identity(), "training": recipe.training.model_dump(mode="json")}
    about = {"recipe": fields, "size_px": recipe.patches.size_px, "images": fingerprint(images)}
    return sha256_of(about | {"precision": precision, "devices": devices, "torch": torch.__version__})


def _finished(weights: Path, identity: str) -> bool:
    try:
        return read_metadata(weights).get("identity") == identity
    except StoreError:
        return False


def _own_random_state() -> Any:
    """Leave the caller's random state as it was."""
    return torch.random.fork_rng(devices=range(torch.cuda.device_count()))
