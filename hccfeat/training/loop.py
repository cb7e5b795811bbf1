"""The Lightning loop of stage 1; imported only when something is trained, for Lightning imports slowly."""

import gc
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from hccfeat.training.callbacks import EpochRecord, Progress, learning_rate
from hccfeat.training.data import OrderedBatches, PatchBatches, ShuffledBatches
from hccfeat.training.devices import node_rank
from hccfeat.training.embed import to_unit_range
from hccfeat.training.job import Best, Job
from hccfeat.training.quiet import QuietProcesses, quiet_lightning
from hccfeat.training.seeds import derived_seed
from hccfeat.training.threads import pin_threads

Batch = tuple[Tensor, Tensor]


class EncoderTraining(LightningModule):
    """Loss, optimiser and batches of one training."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.encoder = job.encoder.to(memory_format=torch.channels_last)
        self.job = job

    def setup(self, stage: str) -> None:
        """Pin the threads again: a spawned process does not inherit them."""
        del stage
        pin_threads(self.job.threads)

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
        """Adam without weight decay, on what the encoder lets learn."""
        recipe = self.job.recipe
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.Adam(learning, lr=recipe.learning_rate, betas=recipe.betas, fused=True)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set random state and learning rate from (seed, epoch, batch, rank)."""
        del batch
        torch.manual_seed(derived_seed(self.job.recipe.seed, self.current_epoch, batch_idx, self.global_rank))
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = learning_rate(self.job.recipe, self.current_epoch)

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


class DirectCheckpoints(TorchCheckpointIO):
    """Checkpoints straight to their file, which is published atomically anyway; twice as fast as through memory."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write the file."""
        del storage_options
        torch.save(checkpoint, path)


def recurrence_loss(logits: Tensor, labels: Tensor, *, double_softmax: bool) -> Tensor:
    """Cross-entropy of logits; of their softmax, taken as logits, in the released code (P1 reading 5).

    Labels with survival times, (B, 2), give Cox's partial likelihood of the difference of the logits instead.
    """
    with torch.autocast(logits.device.type, enabled=False):
        scores = logits.float()
        if labels.ndim == 2:
            return partial_likelihood(scores[:, 1] - scores[:, 0], labels[:, 1], labels[:, 0])
        return functional.cross_entropy(scores.softmax(dim=1) if double_softmax else scores, labels)


def partial_likelihood(risk: Tensor, months: Tensor, event: Tensor) -> Tensor:
    """Negative log partial likelihood of Cox per event, with Breslow's ties; the batch is the population.

    Parameters
    ----------
    risk : float, (B,)
        Log hazard up to a constant.
    months, event : float, (B,)
        Survival time, and 1 where it ended in the event.

    Returns
    -------
    float, ()
        0 with zero gradients in a batch without events.
    """
    at_risk = months[None, :] >= months[:, None]
    everybody = risk[None, :].expand_as(at_risk).masked_fill(~at_risk, -torch.inf).logsumexp(dim=1)
    return ((everybody - risk) * event).sum() / event.sum().clamp(min=1.0)


def fit(job: Job) -> Best | None:
    """Run or continue a training, and give its best weights; None on a machine that only helps the first one.

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
        with quiet_lightning(), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            module = HeldOutTraining(job) if job.stop else EncoderTraining(job)
            _run(_trainer(job, done), module, job.checkpoint if state else None)
        del module
        gc.collect()  # trainer and module refer to each other: hundreds of megabytes of every training would stay
        if node_rank(job.nodes):
            return None
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
        num_nodes=job.nodes,
        strategy="ddp_spawn" if job.devices > 1 else "ddp" if job.nodes > 1 else "auto",
        precision="bf16-mixed" if job.precision == "bf16" else "32-true",
        max_epochs=job.recipe.max_epochs,
        callbacks=[
            QuietProcesses(),
            stopping,
            EpochRecord(job),
            *([Progress(done_epochs)] if job.progress else []),
        ],
        # one process on each machine was started, whatever a cluster's environment variables say
        plugins=[DirectCheckpoints(), LightningEnvironment()],
        sync_batchnorm=gpu and job.processes > 1,
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
