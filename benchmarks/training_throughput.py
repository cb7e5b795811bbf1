"""How fast does hccfeat train CNN-SASM, beside a bare PyTorch loop over the same network?

    python benchmarks/training_throughput.py
    python benchmarks/training_throughput.py --device cuda --patches 8192 --batch 128 --out throughput.json

Three trainings of synthetic patches (uint8, in memory), interleaved and repeated:

- hccfeat: its own loop (``hccfeat.training.loop.fit``), history and the checkpoint of every epoch included;
- bare: the same network, order of batches, augmentation, optimiser and precision in a plain loop, nothing kept;
- trunk: the bare loop over the ResNet18 alone with a linear layer (the encoder ``resnet18``).

Prints patches per second, and the ratios within each repeat; exits with 1 if the median of hccfeat over bare is
below 0.90. The first batch of each network is run before the clock starts. What hccfeat adds is mostly a fixed
cost of each epoch (a checkpoint of 190 MB), so few patches understate the ratio. On a processor the same ratios
are also given in processor time, which other programs on the machine disturb less.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.nn import functional

from hccfeat.config import Recipe, load_recipe
from hccfeat.models import Encoder, create
from hccfeat.progress import set_quiet
from hccfeat.slides.augment import augmentation
from hccfeat.training.data import PatchBatches, ShuffledBatches, TrainingImage
from hccfeat.training.devices import resolve_device, resolve_precision
from hccfeat.training.embed import to_unit_range
from hccfeat.training.job import Job
from hccfeat.training.loop import fit

TARGET = 0.90
PATCHES_PER_IMAGE = 65
SEED = 2023


def main() -> int:
    arguments = _arguments()
    set_quiet(True)
    torch.set_num_threads(arguments.threads)
    recipe = _recipe(arguments)
    device = resolve_device(arguments.device)
    precision = resolve_precision(recipe.training.precision, device)
    images = _images(arguments.patches, recipe.patches.size_px)
    augment = augmentation(recipe.training.augmentation) if arguments.augment else None
    networks = {"hccfeat": recipe.encoder.name, "bare": recipe.encoder.name, "trunk": "resnet18"}

    def run(arm: str, images: list[TrainingImage], epochs: int) -> tuple[float, float]:
        torch.manual_seed(SEED)
        encoder = _encoder(networks[arm], recipe)
        train = recipe.training.model_copy(update={"max_epochs": epochs, "patience": epochs})
        with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
            job = Job(
                encoder=encoder, recipe=train, train=images, stop=[], augment=augment,
                checkpoint=Path(folder) / "last.ckpt", identity="throughput", device=device, devices=1,
                workers=arguments.workers, threads=arguments.threads, precision=precision, progress=False,
            )  # fmt: skip
            return _seconds(lambda: (fit if arm == "hccfeat" else _bare)(job), device)

    one_batch = _images(arguments.batch, recipe.patches.size_px)
    for arm in networks:
        run(arm, one_batch, 1)
    done = arguments.patches // arguments.batch * arguments.batch * arguments.epochs
    speeds: dict[str, list[float]] = {arm: [] for arm in networks}
    processor: dict[str, list[float]] = {arm: [] for arm in networks}
    for repeat in range(arguments.repeats):
        for arm in list(networks) if repeat % 2 == 0 else reversed(networks):
            wall, seconds = run(arm, images, arguments.epochs)
            speeds[arm].append(done / wall)
            processor[arm].append(done / seconds)
        texts = ", ".join(f"{arm} {values[-1]:.1f}" for arm, values in speeds.items())
        print(f"repeat {repeat + 1}: {texts} patches/s", flush=True)
    return _report(arguments, recipe, device, precision, speeds, processor)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--workers", type=int, default=0, help="processes that load patches, in hccfeat's loop")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:<number>")
    parser.add_argument("--precision", choices=["auto", "float32", "bf16"], default="auto")
    parser.add_argument("--recipe", default="paper", help="whose encoder, patch size and augmentation are used")
    parser.add_argument("--no-augment", dest="augment", action="store_false")
    parser.add_argument("--work", type=Path, help="folder of the checkpoints; a temporary one by default")
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    return parser.parse_args()


def _recipe(arguments: argparse.Namespace) -> Recipe:
    recipe = load_recipe(arguments.recipe)
    changes = {"batch_size": arguments.batch, "precision": arguments.precision, "seed": SEED}
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})


def _encoder(name: str, recipe: Recipe) -> Encoder:
    options = recipe.encoder.options if name == recipe.encoder.name else {}
    return create(name, input_px=recipe.patches.size_px, trunk_weights="none", **options)


def _images(patches: int, side: int) -> list[TrainingImage]:
    random = np.random.default_rng(SEED)
    images = []
    for number, start in enumerate(range(0, patches, PATCHES_PER_IMAGE)):
        shape = (min(PATCHES_PER_IMAGE, patches - start), side, side, 3)
        pixels = random.integers(0, 256, shape, dtype=np.uint8)
        images.append(TrainingImage(f"image{number:05d}", f"patient{number:05d}", number % 2, pixels))
    return images


def _seconds(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds of the wall clock, and of the processor over all threads."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    wait()
    started, used = time.perf_counter(), time.process_time()
    work()
    wait()
    return time.perf_counter() - started, time.process_time() - used


def _bare(job: Job) -> float:
    """Train as one would without any framework; gives the loss of the last epoch."""
    encoder = job.encoder.to(job.device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.Adam(
        encoder.parameters(), lr=job.recipe.learning_rate, betas=job.recipe.betas, fused=True
    )
    patches = PatchBatches(job.train)
    batches = ShuffledBatches(len(patches), job.recipe.batch_size, job.recipe.seed)
    generator = torch.Generator(job.device).manual_seed(SEED)
    mean = torch.zeros((), device=job.device)
    for epoch in range(job.recipe.max_epochs):
        batches.set_epoch(epoch)
        mean.zero_()
        for indices in batches:
            pixels, labels = patches[indices]
            rgb = to_unit_range(pixels.to(job.device))
            if job.augment is not None:
                rgb = job.augment(rgb, generator)
            with torch.autocast(job.device.type, torch.bfloat16, enabled=job.precision == "bf16"):
                logits = encoder(rgb.contiguous(memory_format=torch.channels_last)).logits
            loss = functional.cross_entropy(logits, labels.to(job.device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            mean += loss.detach() / len(batches)
    return float(mean)


def _report(
    arguments: argparse.Namespace,
    recipe: Recipe,
    device: torch.device,
    precision: str,
    speeds: dict[str, list[float]],
    processor: dict[str, list[float]],
) -> int:
    over, over_in_processor_time = _ratios(speeds), _ratios(processor)
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{arguments.threads} threads"
    size, batch = recipe.patches.size_px, arguments.batch
    print(f"{recipe.encoder.name} at {size} px, batch {batch}, {precision}, {device.type} ({hardware})")
    for arm, values in speeds.items():
        print(f"{arm:>8}: {median(values):9.1f} patches/s (median of {len(values)})")
    for arm, ratios in over.items():
        print(f"hccfeat / {arm}: {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    if device.type == "cpu":
        for arm, ratios in over_in_processor_time.items():
            print(
                f"hccfeat / {arm} in processor time: {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
            )
    reached = median(over["bare"]) >= TARGET
    print(f"target of {TARGET:.2f} against the bare loop: {'reached' if reached else 'missed'}")
    if arguments.out:
        settings = {key: value for key, value in vars(arguments).items() if key not in {"out", "work"}}
        result = {
            "settings": settings | {"device": device.type, "precision": precision, "patch_px": size},
            "hardware": hardware,
            "torch": torch.__version__,
            "patches_per_second": speeds,
            "hccfeat_over_bare": median(over["bare"]),
            "hccfeat_over_trunk": median(over["trunk"]),
            "hccfeat_over_bare_in_processor_time": median(over_in_processor_time["bare"]),
            "target": TARGET,
        }
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if reached else 1


def _ratios(speeds: dict[str, list[float]]) -> dict[str, list[float]]:
    """Speed of hccfeat over each other arm, repeat by repeat."""
    return {
        arm: [ours / other for ours, other in zip(speeds["hccfeat"], speeds[arm], strict=True)]
        for arm in ("bare", "trunk")
    }


if __name__ == "__main__":
    sys.exit(main())
