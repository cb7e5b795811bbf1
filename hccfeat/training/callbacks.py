"""What happens around the epochs of a training: record, checkpoint and progress bar."""

import math
import time
from contextlib import ExitStack
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from torch import Tensor

from hccfeat.config import TrainingRecipe
from hccfeat.errors import AnalysisError
from hccfeat.files import write_atomically
from hccfeat.progress import Advance, progress_bar
from hccfeat.training.job import Job


def learning_rate(recipe: TrainingRecipe, epoch: int) -> float:
    """Stepwise decay as a function of the epoch (from 0), so that a resumed run cannot be one step off."""
    return recipe.learning_rate * recipe.step_gamma ** (epoch // recipe.step_epochs)


SECONDS_BETWEEN_CHECKPOINTS = 15.0
"""Shorter epochs are not worth a file of several hundred megabytes each; a kill loses no more than this."""


class EpochRecord(Checkpoint):
    """Keep history and best weights, and publish the whole state after an epoch, best weights included.

    Lightning runs it after early stopping, whose counter therefore is up to date in the file.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.history: list[dict[str, Any]] = []
        self.best_loss = math.inf
        self.best_epoch = 0
        self.best: dict[str, Tensor] = {}
        self.finished = False
        self.published = -math.inf

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the epoch; raise if its loss is no number."""
        epoch = trainer.current_epoch + 1
        row: dict[str, Any] = {
            "epoch": epoch,
            "learning_rate": learning_rate(self.job.recipe, trainer.current_epoch),
        }
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
                name: value.detach().cpu().clone() for name, value in self.job.encoder.state_dict().items()
            }
        last = getattr(trainer, "max_epochs", None) == epoch
        self.finished = bool(trainer.should_stop) or last
        # processes that share a training publish together, so none may go by its own clock
        due = time.monotonic() - self.published >= SECONDS_BETWEEN_CHECKPOINTS or self.job.processes > 1
        if due or self.finished:
            self._publish(trainer)
            self.published = time.monotonic()

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
