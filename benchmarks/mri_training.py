"""How fast does hccfeat train CMD-Net's student, beside a bare PyTorch loop over the same network?

    python benchmarks/mri_training.py
    python benchmarks/mri_training.py --device cuda --exams 216 --batch 8 --out mri_training.json

Two trainings of random volumes, interleaved and repeated:

- hccfeat: its own loop (``hccfeat.training.mri_loop.run_course``), volumes read from ``.npy`` files batch by batch,
  every loss term and the history kept;
- bare: the same network, order of batches, loss, optimiser and precision in a plain loop over volumes that are in
  memory already, nothing kept.

Prints seconds of an epoch and their ratio within each repeat; exits with 1 if the median of hccfeat's speed over
the bare loop's is below 0.80. One batch of each is run before the clock starts. On a processor the same ratio is
also given in processor time, which other programs on the machine disturb less.

Then the peak memory of a process that trains on 8 exams, and of one that trains on 64: the volumes are those of the
recipe, the network is narrow, so that volumes that stayed in memory would show.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from hccfeat.config import MriRecipe, load_mri_recipe
from hccfeat.progress import set_quiet
from hccfeat.training.devices import resolve_device, resolve_precision
from hccfeat.training.mri_build import build_network, network_options
from hccfeat.training.mri_data import Exam, ExamBatches, batch_order
from hccfeat.training.mri_fit import train_family
from hccfeat.training.mri_learner import Learner
from hccfeat.training.mri_loop import Course, run_course
from hccfeat.training.mri_losses import focal_loss
from hccfeat.training.mri_methods import METHODS

TARGET = 0.80
STUDENT = METHODS["S-pre-hbp"]
PEAK_EXAMS = (8, 64)
SEED = 2023


def main() -> int:
    arguments = _arguments()
    set_quiet(True)
    torch.set_num_threads(arguments.threads)
    recipe = _recipe(arguments)
    if arguments.peak:
        return _train_and_print_peak(arguments, recipe)
    device = resolve_device(arguments.device)
    lower = resolve_precision(recipe.training.precision, device) == "bf16"
    times = _times(arguments, recipe, device, lower=lower)
    peaks = {} if arguments.no_memory else {count: _peak_of_process(arguments, count) for count in PEAK_EXAMS}
    return _report(arguments, recipe, device, "bf16" if lower else "float32", times, peaks)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="mri-paper", help="whose network and volumes are used")
    parser.add_argument("--exams", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:<number>")
    parser.add_argument("--precision", choices=["auto", "float32", "bf16"], default="auto")
    parser.add_argument("--no-memory", action="store_true", help="leave out the peak memory")
    parser.add_argument("--work", type=Path, help="folder of the volumes; a temporary one by default")
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _recipe(arguments: argparse.Namespace) -> MriRecipe:
    recipe = load_mri_recipe(arguments.recipe)
    changes = {"batch_size": arguments.batch, "precision": arguments.precision, "seed": SEED, "epochs": 1}
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})


def _exams(folder: Path, count: int, recipe: MriRecipe) -> list[Exam]:
    random = np.random.default_rng(SEED)
    exams = []
    for number in range(count):
        paths = [folder / f"{number}-{phase}.npy" for phase in (0, 1)]
        for path in paths:
            np.save(path, random.standard_normal(recipe.volumes.shape, dtype=np.float32))
        exams.append(Exam(f"exam{number:05d}", f"patient{number:05d}", number % 3, tuple(paths)))
    return exams


def _times(
    arguments: argparse.Namespace, recipe: MriRecipe, device: torch.device, *, lower: bool
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of an epoch of each arm and repeat: of the wall clock and of the processor."""
    times: dict[str, list[tuple[float, float]]] = {"hccfeat": [], "bare": []}
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        exams = _exams(Path(folder), arguments.exams, recipe)

        def seconds(arm: str, exams: list[Exam]) -> tuple[float, float]:
            learner, batches = _learner(recipe, device), ExamBatches(exams, items=False)
            if arm == "bare":
                return _seconds(_bare(learner, batches, device, lower=lower), device)
            checkpoint = Path(folder) / "unused.ckpt"
            course = Course([learner], None, None, recipe.training, batches, device, lower, checkpoint)
            return _seconds(lambda: run_course(course, title="", progress=False), device)

        for arm in times:
            seconds(arm, exams[: arguments.batch])
        for repeat in range(arguments.repeats):
            for arm in list(times) if repeat % 2 == 0 else reversed(times):
                times[arm].append(seconds(arm, exams))
            texts = ", ".join(f"{arm} {values[-1][0]:.2f} s" for arm, values in times.items())
            print(f"repeat {repeat + 1}: {texts}", flush=True)
    return times


def _learner(recipe: MriRecipe, device: torch.device) -> Learner:
    options = network_options(STUDENT, recipe, None)
    network = build_network(STUDENT.network, options, SEED).to(device)
    return Learner(STUDENT.name, network, recipe.training, STUDENT.network, identity="")


def _bare(learner: Learner, batches: ExamBatches, device: torch.device, *, lower: bool) -> Callable[[], None]:
    """Train as one would without any framework, on volumes in memory."""
    training = learner.recipe
    network = learner.network.train()
    optimiser = torch.optim.Adam(
        network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    order = batch_order(len(batches.exams), training.batch_size, training.seed, 0)
    loaded = [batches[indices] for indices in order]

    def train() -> None:
        for batch in loaded:
            with torch.autocast(device.type, torch.bfloat16, enabled=lower):
                logits = network(batch.volumes.to(device)).logits
            loss = focal_loss(logits, batch.labels.to(device), gamma=training.gamma)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return train


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


def _peak_of_process(arguments: argparse.Namespace, count: int) -> float:
    command = [sys.executable, __file__, "--peak", str(count), "--recipe", arguments.recipe]
    command += ["--threads", str(arguments.threads), "--device", arguments.device]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _train_and_print_peak(arguments: argparse.Namespace, recipe: MriRecipe) -> int:
    """Train a narrow student through ``train_family``, and print the peak of resident memory in MiB."""
    narrow = recipe.network.model_copy(update={"channels": (4, 4, 8, 8), "stream_dim": 16})
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        exams = _exams(Path(folder), arguments.peak, recipe)
        work, device = Path(folder) / "weights", arguments.device
        recipe = recipe.model_copy(update={"network": narrow})
        train_family(exams, [STUDENT], recipe, work=work, device=device, threads=arguments.threads, progress=False)
    # not the resource module: what it says starts with the peak of the process that called this one
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
    return 0


def _report(
    arguments: argparse.Namespace,
    recipe: MriRecipe,
    device: torch.device,
    precision: str,
    times: dict[str, list[tuple[float, float]]],
    peaks: dict[int, float],
) -> int:
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{arguments.threads} threads"
    shape, channels = recipe.volumes.shape, recipe.network.channels
    steps = len(batch_order(arguments.exams, arguments.batch, SEED, 0))
    print(
        f"student, channels {channels}, {' x '.join(map(str, shape))} voxels, {steps} steps of {arguments.batch} "
        f"exams, {precision}, {device.type} ({hardware})"
    )
    print(f"{'':>8} {'seconds of an epoch (median, range)':>40} {'exams/s':>10}")
    for arm, pairs in times.items():
        wall = [pair[0] for pair in pairs]
        text = f"{median(wall):.2f} ({min(wall):.2f} to {max(wall):.2f})"
        print(f"{arm:>8} {text:>40} {arguments.exams / median(wall):>10.2f}")
    ratios = {
        name: [bare[place] / ours[place] for ours, bare in zip(times["hccfeat"], times["bare"], strict=True)]
        for place, name in enumerate(("wall clock", "processor time"))
        if place == 0 or device.type == "cpu"
    }
    for name, values in ratios.items():
        print(f"speed of hccfeat / bare, {name}: {median(values):.3f} ({min(values):.3f} to {max(values):.3f})")
    for count, peak in peaks.items():
        print(f"peak memory, {count} exams: {peak:.0f} MiB")
    reached = median(ratios["wall clock"]) >= TARGET
    print(f"target of {TARGET:.2f} of the bare loop's speed: {'reached' if reached else 'missed'}")
    if arguments.out:
        left_out = {"out", "work", "peak"}
        settings = {key: value for key, value in vars(arguments).items() if key not in left_out}
        result = {
            "settings": settings | {"precision": precision, "shape": shape, "channels": channels, "steps": steps},
            "hardware": hardware,
            "torch": torch.__version__,
            "seconds_of_an_epoch": {arm: [pair[0] for pair in pairs] for arm, pairs in times.items()},
            "hccfeat_over_bare": ratios,
            "target": TARGET,
            "peak_mib_by_exams": peaks,
        }
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
