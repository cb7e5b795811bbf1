"""The Lightning loop of stage 1; imported only when something is trained, for Lightning imports slowly."""

import logging
import math
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from hccfeat.config import TrainingRecipe
from hccfeat.errors import AnalysisError
from hccfeat.files import write_atomically
from hccfeat.models import Encoder
from hccfeat.progress import Advance, progress_bar
from hccfeat.training.data import OrderedBatches, PatchBatches, ShuffledBatches, TrainingImage
from hccfeat.training.devices import Precision
from hccfeat.training.embed import to_unit_range
from hccfeat.training.seeds import derived_seed

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Job:
    """Everything one training needs; see :func:`hccfeat.training.encoder.train_encoder`."""

    encoder: Encoder
    recipe: TrainingRecipe
    train: list[TrainingImage]
    stop: list[TrainingImage]
    augment: Callable[[Tensor, torch.Generator | None], Tensor] | None
    checkpoint: Path
    identity: str
    device: torch.device
    devices: int
    workers: int
    precision: Precision
    progress: bool


@dataclass(frozen=True)
class Best:
    """The weights with the lowest monitored loss, and what happened."""

    tensors: dict[str, Tensor]
    best_epoch: int
    history: list[dict[str, Any]]


class EncoderTraining(LightningModule):
    """Loss, optimiser and batches of one training."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.encoder = job.encoder.to(memory_format=torch.channels_last)
        self.job = job

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled full batches, in an order of (seed, epoch)."""
        patches = PatchBatches(self.job.train)
        recipe = self.job.recipe
        share = {"rank": self.trainer.global_rank, "devices": self.trainer.world_size}
        return self._loader(patches, ShuffledBatches(len(patches), recipe.batch_size, recipe.seed, **share))

    def _loader(self, patches: PatchBatches, batches: ShuffledBatches | OrderedBatches) -> DataLoader[Batch]:
        # batch_size=None: the sampler's lists of indices go to the dataset whole
        return DataLoader(patches, sampler=batches, batch_size=None, num_workers=self.job.workers)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam without weight decay."""
        return torch.optim.Adam(self.parameters(), lr=self.job.recipe.learning_rate, betas=self.job.recipe.betas)

    def learning_rate(self) -> float:
        """Stepwise decay as a function of the epoch, so that a resumed run cannot be one step off."""
        recipe = self.job.recipe
        return recipe.learning_rate * recipe.step_gamma ** (self.current_epoch // recipe.step_epochs)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set random state and learning rate from (seed, epoch, batch, rank)."""
        del batch
        torch.manual_seed(derived_seed(self.job.recipe.seed, self.current_epoch, batch_idx, self.global_rank))
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.learning_rate()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one augmented batch."""
        patches, labels = batch
        rgb = to_unit_range(patches)
        if self.job.augment is not None:
            seed = derived_seed(self.job.recipe.seed, "augment", self.current_epoch, batch_idx, self.global_rank)
            with torch.autocast(rgb.device.type, enabled=False):
                rgb = self.job.augment(rgb, torch.Generator(rgb.device).manual_seed(seed))
        return self._loss("train_loss", rgb, labels)

    def _loss(self, name: str, rgb: Tensor, labels: Tensor) -> Tensor:
        logits = self.encoder(rgb.contiguous(memory_format=torch.channels_last)).logits
        loss = recurrence_loss(logits, labels, double_softmax=self.job.recipe.double_softmax)
        self.log(name, loss, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)
        return loss


class HeldOutTraining(EncoderTraining):
    """A training whose stopping is decided by the loss of held-out patients."""

    def val_dataloader(self) -> DataLoader[Batch]:
        """Give the patches of the held-out patients."""
        patches = PatchBatches(self.job.stop)
        share = {"rank": self.trainer.global_rank, "devices": self.trainer.world_size}
        return self._loader(patches, OrderedBatches(len(patches), self.job.recipe.batch_size, **share))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss of one batch of held-out patients."""
        del batch_idx
        self._loss("val_loss", to_unit_range(batch[0]), batch[1])


def recurrence_loss(logits: Tensor, labels: Tensor, *, double_softmax: bool) -> Tensor:
    """Cross-entropy of logits; of their softmax, taken as logits, in the released code (PAPERS 1.5 row 5)."""
    with torch.autocast(logits.device.type, enabled=False):
        scores = logits.float()
        return functional.cross_entropy(scores.softmax(dim=1) if double_softmax else scores, labels)


class EpochRecord(Checkpoint):
    """Keep history and best weights, and publish the whole state after each epoch, best weights included.

    Lightning runs it after early stopping, whose counter therefore is up to date in the file.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.history: list[dict[str, Any]] = []
        self.best_loss = math.inf
        self.best_epoch = 0
        self.best: dict[str, Tensor] = {}
        self.finished = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the epoch; raise if its loss is no number."""
        assert isinstance(pl_module, EncoderTraining)
        epoch = trainer.current_epoch + 1
        row: dict[str, Any] = {"epoch": epoch, "learning_rate": pl_module.learning_rate()}
        row |= {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        monitored = row[self.job.recipe.monitor]
        if not math.isfinite(monitored) or not math.isfinite(row["train_loss"]):
            raise AnalysisError(
                "encoder training",
                f"the loss is not finite in epoch {epoch}",
                "Lower training.learning_rate, or set training.precision to float32.",
            )
        self.history.append(row)
        if monitored < self.best_loss:
            self.best_loss, self.best_epoch = monitored, epoch
            self.best = {
                name: value.detach().cpu().clone() for name, value in pl_module.encoder.state_dict().items()
            }
        last = getattr(trainer, "max_epochs", None) == epoch
        self.finished = bool(trainer.should_stop) or last
        self._publish(trainer)

    def _publish(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            write_atomically(self.job.checkpoint, trainer.save_checkpoint)
        else:
            trainer.save_checkpoint(self.job.checkpoint)  # takes part, writes nothing

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors only: the file is read back with ``weights_only=True``."""
        return {
            "identity": self.job.identity,
            "history": self.history,
            "best_loss": self.best_loss,
            "best_epoch": self.best_epoch,
            "best": self.best,
            "finished": self.finished,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state of an interrupted run."""
        self.history = list(state_dict["history"])
        self.best_loss, self.best_epoch = state_dict["best_loss"], state_dict["best_epoch"]
        self.best = dict(state_dict["best"])


class Progress(Callback):
    """One step of the bar per finished batch."""

    def __init__(self, done_epochs: int) -> None:
        self.done_epochs = done_epochs
        self.stack = ExitStack()
        self.advance: Advance | None = None
        self.note = ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar, at the place where an interrupted run had come to."""
        del pl_module
        if trainer.is_global_zero:
            batches, epochs = int(trainer.num_training_batches), int(trainer.max_epochs or 0)
            self.advance = self.stack.enter_context(progress_bar("training the encoder", batches * epochs))
            self._step(trainer, batches * self.done_epochs)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Count a batch."""
        self._step(trainer, 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the loss of the epoch."""
        del pl_module
        self.note = f", loss {float(trainer.callback_metrics['train_loss']):.4f}"
        self._step(trainer, 0)

    def _step(self, trainer: Trainer, batches: int) -> None:
        if self.advance is not None:
            epoch = f"epoch {trainer.current_epoch + 1} of at most {trainer.max_epochs}"
            self.advance(batches, note=epoch + self.note)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        del trainer, pl_module
        self.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar."""
        del trainer, pl_module, exception
        self.close()

    def close(self) -> None:
        """Close the bar if it is open."""
        self.advance = None
        self.stack.close()


def fit(job: Job) -> Best:
    """Run or continue a training, and give its best weights.

    Raises
    ------
    AnalysisError
        If the loss stops being a number.
    KeyboardInterrupt
        If the user interrupts; the checkpoint of the last full epoch remains.
    """
    state = read_state(job)
    if not state.get("finished"):
        done = len(state.get("history", []))
        with _quiet_lightning(), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            module = HeldOutTraining(job) if job.stop else EncoderTraining(job)
            _run(_trainer(job, done), module, job.checkpoint if state else None)
        state = read_state(job)
    return Best(tensors=state["best"], best_epoch=state["best_epoch"], history=state["history"])


def read_state(job: Job) -> Mapping[str, Any]:
    """Give the state of :class:`EpochRecord` in the checkpoint; empty if there is none of this very training."""
    if not job.checkpoint.is_file():
        return {}
    checkpoint = torch.load(job.checkpoint, map_location="cpu", weights_only=True)
    state = checkpoint["callbacks"].get(EpochRecord.__qualname__, {})
    return state if state.get("identity") == job.identity else {}


def _trainer(job: Job, done_epochs: int) -> Trainer:
    gpu = job.device.type == "cuda"
    chosen: list[int] | int = [job.device.index] if gpu and job.device.index is not None else job.devices
    stopping = EarlyStopping(
        job.recipe.monitor,
        patience=job.recipe.patience,
        min_delta=0.0,
        mode="min",
        check_finite=False,  # EpochRecord raises
        check_on_train_epoch_end=True,
    )
    return Trainer(
        accelerator="gpu" if gpu else "cpu",
        devices=chosen,
        strategy="ddp_spawn" if job.devices > 1 else "auto",
        precision="bf16-mixed" if job.precision == "bf16" else "32-true",
        max_epochs=job.recipe.max_epochs,
        callbacks=[stopping, EpochRecord(job), *([Progress(done_epochs)] if job.progress else [])],
        # one device is one process, whatever a cluster's environment variables say
        plugins=[LightningEnvironment()] if job.devices == 1 else None,
        sync_batchnorm=gpu and job.devices > 1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=job.checkpoint.parent,
    )


def _run(trainer: Trainer, module: EncoderTraining, checkpoint: Path | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:
        # Lightning turns an interrupt into an exit and leaves interrupts switched off
        if isinstance(error.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from error
        raise


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning's banners, and its advice on things that are chosen here on purpose."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=PossibleUserWarning)
            # Lightning 2.6 uses a torch name that torch 2.15 deprecates
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
