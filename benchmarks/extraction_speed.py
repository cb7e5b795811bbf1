"""How fast does hccfeat turn a slide into a published shard, beside the bare network and tiatoolbox?

    python benchmarks/extraction_speed.py SLIDE
    python benchmarks/extraction_speed.py SLIDE --patches 2000 --tiatoolbox other/bin/python --out speed.json
    python benchmarks/extraction_speed.py SLIDE --study STUDY

SLIDE is a real slide at 20x or more, for instance CMU-1-Small-Region.svs of OpenSlide's test data. It is laid side
by side until the whole has that many usable patches of 224 px, and written as one pyramid of JPEG tiles, the way
scanners do. Arms, interleaved and repeated, all with as many threads as ``--threads`` says:

- bare: CNN-SASM on batches in memory, bf16 autocast and channels last, one thread per core: the best plain loop;
- bare folded: the same as hccfeat runs it, batch normalisations folded into the convolutions;
- hccfeat: slide, tissue, patches, Vahadane, CNN-SASM, published shard, by the function that ``extract`` runs;
- hccfeat, repeated: the small slide itself under several names, as so many images;
- tiatoolbox: DeepFeatureExtractor with a plain ResNet18 on the same big slide, without stain normalisation and
  attention. It needs an environment of its own (``pip install "tiatoolbox==2.1.*"``) and is left out without it.

Prints patches per second of the wall clock, and per second of processor time of one core, which other programs on
the machine disturb less; the ratios are those within each repeat. With ``--study`` the precision of the trunk is
checked on the trained encoder of its newest feature set. Exits with 1 if the big slide misses a target in processor
time.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image

from hccfeat.config import load_recipe
from hccfeat.extraction import executors
from hccfeat.extraction.outcomes import Outcome
from hccfeat.extraction.tasks import EmbedTask, Source, embed_image
from hccfeat.models import Encoder
from hccfeat.models.lowered import lowered
from hccfeat.models.weights import save_weights
from hccfeat.progress import set_quiet
from hccfeat.slides.prepare import prepare_image
from hccfeat.slides.readers import open_slide
from hccfeat.training.devices import resolve_precision
from hccfeat.training.embed import CPU_BATCH, to_unit_range
from hccfeat.training.encoder import build_encoder
from hccfeat.training.threads import pinned_threads

OVER_BARE, OVER_TIATOOLBOX = 0.80, 1.6
TILE = 240
Speed = tuple[int, float, float]
"""Patches, seconds of the wall clock, seconds of processor time."""

TIATOOLBOX = """
import json, sys, tempfile, time, warnings
warnings.filterwarnings("ignore")
import torch, zarr
from tiatoolbox.models.architecture.vanilla import CNNBackbone
from tiatoolbox.models.engine.deep_feature_extractor import DeepFeatureExtractor
from tiatoolbox.models.engine.io_config import IOPatchPredictorConfig
torch.set_num_threads(int(sys.argv[3]))
side = [224, 224]
config = IOPatchPredictorConfig(
    input_resolutions=[{"units": "mpp", "resolution": 0.5}], patch_input_shape=side, stride_shape=side,
    output_resolutions=[],
)
network = CNNBackbone("resnet18")
engine = DeepFeatureExtractor(model=network, batch_size=32, num_workers=0, device="cpu", verbose=False)
def run(slide):
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        out = engine.run([slide], patch_mode=False, ioconfig=config, save_dir=folder + "/out", output_type="zarr")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        stored = zarr.open(str(next(iter(out.values()))), mode="r")
        return [stored["features"].shape[0], wall, cpu]
run(sys.argv[1])
print("RESULT" + json.dumps(run(sys.argv[2])))
"""


def main() -> int:
    arguments = _arguments()
    set_quiet(True)
    recipe = load_recipe("paper")
    precision = arguments.precision or resolve_precision("auto", torch.device("cpu"))
    patches = recipe.patches.model_copy(update={"per_image": None})
    recipe = recipe.model_copy(update={"patches": patches}).with_trunk_precision(precision)
    if arguments.study:
        _check(arguments.study)
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        work = Path(folder)
        torch.manual_seed(2023)
        encoder = build_encoder(recipe, trunk_weights="none").eval()
        sha256 = save_weights(work / "weights.safetensors", encoder, {})
        prepared = prepare_image(arguments.slide, "bench/one", recipe)
        times = -(-arguments.patches // len(prepared.patches))
        big = _side_by_side(arguments.slide, times, work / "big.tif")
        batches = [prepared.patches[:CPU_BATCH]] * max(2, arguments.patches // CPU_BATCH)

        def extract(slide: Path, images: int) -> Speed:
            sources = [_source(slide, number) for number in range(images)]
            with tempfile.TemporaryDirectory(dir=work) as study:
                tasks = [
                    EmbedTask(
                        Path(study), source, "pps-1", "0" * 64, work / "weights.safetensors", sha256, recipe, "cpu"
                    )
                    for source in sources
                ]
                return _timed(lambda: _patches(_outcomes(tasks, arguments.threads)))

        arms: dict[str, Callable[[], Speed]] = {
            "bare": lambda: _timed(lambda: _bare(encoder, batches, precision, arguments.threads)),
            "bare folded": lambda: _timed(lambda: _bare(lowered(encoder), batches, precision, arguments.threads)),
            "hccfeat": lambda: extract(big, 1),
            "hccfeat, repeated": lambda: extract(arguments.slide, times),
        }
        if precision == "float32":
            del arms["bare folded"]
        if arguments.tiatoolbox:
            arms["tiatoolbox"] = lambda: _tiatoolbox(arguments.tiatoolbox, arguments.slide, big, arguments.threads)
        results: dict[str, list[Speed]] = {name: [] for name in arms}
        with pinned_threads(1):
            _bare(encoder, batches[:1], precision, 1)
            for repeat in range(arguments.repeats):
                for name in list(arms) if repeat % 2 == 0 else reversed(arms):
                    results[name].append(arms[name]())
    return _report(arguments, precision, results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--patches", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=executors.available_cores())
    parser.add_argument(
        "--precision", choices=["float32", "bf16"], help="of the trunk; bf16 where the processor has it"
    )
    parser.add_argument("--tiatoolbox", metavar="PYTHON", help="interpreter that has tiatoolbox")
    parser.add_argument("--study", type=Path, help="study with a trained encoder, for the check of the precision")
    parser.add_argument("--work", type=Path, help="folder of the big slide; a temporary one by default")
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    return parser.parse_args()


def _side_by_side(slide: Path, times: int, path: Path) -> Path:
    """Lay a slide side by side, as a pyramid of JPEG tiles whose levels are a quarter of the one before."""
    with open_slide(slide) as opened:
        info = opened.info
        rgb = np.asarray(opened._region(0, 0, info.width, info.height, 1.0))
    rgb = rgb[: len(rgb) // TILE * TILE, : rgb.shape[1] // TILE * TILE]
    columns = int(np.ceil(np.sqrt(times)))
    rows = -(-times // columns)
    mpp = float(info.mpp)
    # tifffile asks for a JPEG encoder although it is given tiles that are encoded
    vars(tifffile.tifffile.imagecodecs).setdefault("jpeg_encode", None)
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        while True:
            height, width = rgb.shape[0] * rows, rgb.shape[1] * columns
            tiff.write(
                _tiles(rgb, rows, columns), shape=(height, width, 3), dtype=np.uint8, tile=(TILE, TILE),
                compression="jpeg", photometric="ycbcr", subsampling=(2, 2), resolution=(1e4 / mpp, 1e4 / mpp),
                resolutionunit="CENTIMETER", subfiletype=int(mpp > info.mpp),
            )  # fmt: skip
            if max(height, width) <= 4 * TILE:
                return path
            small = Image.fromarray(rgb).resize((rgb.shape[1] // 4, rgb.shape[0] // 4), Image.Resampling.BOX)
            rgb, mpp = np.asarray(small), mpp * 4


def _tiles(rgb: NDArray[np.uint8], rows: int, columns: int) -> Iterator[bytes]:
    """JPEG tiles of a picture laid side by side, in row order."""
    height, width = rgb.shape[0] * rows, rgb.shape[1] * columns
    made: dict[tuple[int, int], bytes] = {}
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            key = top % rgb.shape[0], left % rgb.shape[1]
            if key not in made:
                down, across = np.arange(key[0], key[0] + TILE), np.arange(key[1], key[1] + TILE)
                tile = rgb[down % rgb.shape[0]][:, across % rgb.shape[1]]
                file = io.BytesIO()
                Image.fromarray(tile).save(file, "JPEG", quality=85, subsampling="4:2:0")
                made[key] = file.getvalue()
            yield made[key]


def _source(slide: Path, number: int) -> Source:
    facts = slide.stat()
    name = f"bench/image{number:05d}"
    return Source(name, "bench/patient", str(slide), None, facts.st_size, facts.st_mtime_ns, "0" * 64)


def _outcomes(tasks: list[EmbedTask], threads: int) -> list[Outcome]:
    crew = executors.ThreadCrew(threads)
    with crew:
        return list(crew.executor.map(embed_image, tasks))


def _patches(outcomes: list[Outcome]) -> int:
    shards = [outcome.shard for outcome in outcomes]
    if None in shards:
        raise SystemExit(f"an image failed: {next(o.failure for o in outcomes if o.failure)}")
    shares: dict[str, float] = {}
    for outcome in outcomes:
        for name, seconds in outcome.seconds.items():
            shares[name] = shares.get(name, 0.0) + seconds
    total = sum(shares.values())
    text = ", ".join(f"{name} {seconds / total:.1%}" for name, seconds in shares.items())
    print(f"{len(outcomes)} images: {text}", flush=True)
    return sum(shard.patches for shard in shards if shard is not None)


def _bare(encoder: Encoder, batches: list[NDArray[np.uint8]], precision: str, threads: int) -> int:
    """The network alone, one thread per core, each with batches of its own."""
    network = encoder.to(memory_format=torch.channels_last)

    def run(pixels: NDArray[np.uint8]) -> int:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            output = network(to_unit_range(torch.from_numpy(pixels)))
        return len(output.embedding)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(run, batches))


def _timed(work: Callable[[], int]) -> Speed:
    wall, processor = time.perf_counter(), time.process_time()
    count = work()
    return count, time.perf_counter() - wall, time.process_time() - processor


def _tiatoolbox(python: str, small: Path, big: Path, threads: int) -> Speed:
    command = [python, "-c", TIATOOLBOX, str(small), str(big), str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not lines:
        raise SystemExit(f"tiatoolbox failed: {done.stderr[-2000:]}")
    count, wall, processor = json.loads(lines[0].removeprefix("RESULT"))
    return int(count), float(wall), float(processor)


def _check(study: Path) -> None:
    """Check the trunk's precision on the trained encoder of a study."""
    from hccfeat.extraction import feature_sets
    from hccfeat.extraction.plan import sources
    from hccfeat.extraction.trunk_check import trunk_check
    from hccfeat.training.encoder import load_encoder

    feature_set = feature_sets.newest(study, "pps")
    check = trunk_check(study, sources(study), "cpu", lambda verdict: print(f"{study.name}: {verdict}", flush=True))
    if feature_set is None or check is None:
        raise SystemExit("the study has no feature set pps, or the processor no bfloat16: nothing to check")
    recipe = feature_set.slide_recipe
    weights = study / "models" / feature_set.name / "weights.safetensors"
    check(recipe, load_encoder(weights, recipe))


def _report(arguments: argparse.Namespace, precision: str, results: dict[str, list[Speed]]) -> int:
    print(f"trunk in {precision}, {arguments.threads} threads, {arguments.repeats} repeats (medians)")
    print(f"{'':20s} {'patches':>8s} {'patches/s':>10s} {'patches/s of one core':>22s}")
    wall = {name: [n / seconds for n, seconds, _ in speeds] for name, speeds in results.items()}
    core = {name: [n / seconds for n, _, seconds in speeds] for name, speeds in results.items()}
    for name, speeds in results.items():
        print(f"{name:20s} {speeds[0][0]:8d} {median(wall[name]):10.1f} {median(core[name]):22.1f}")
    reached = True
    ratios: dict[str, tuple[float, float]] = {}
    for ours in ("hccfeat", "hccfeat, repeated"):
        for other, target in (("bare", OVER_BARE), ("bare folded", OVER_BARE), ("tiatoolbox", OVER_TIATOOLBOX)):
            if other in results:
                pair = (_ratio(wall, ours, other), _ratio(core, ours, other))
                ratios[f"{ours} / {other}"] = pair
                reached &= ours != "hccfeat" or pair[1] >= target
                print(f"{ours} / {other}: {pair[0]:.2f}, in processor time {pair[1]:.2f} (target {target:g})")
    print(f"targets: {'reached' if reached else 'missed'} by hccfeat on the big slide, in processor time")
    if "tiatoolbox" not in results:
        print("tiatoolbox: not measured in this run (--tiatoolbox PYTHON)")
    if arguments.out:
        table = {name: [list(speed) for speed in speeds] for name, speeds in results.items()}
        document = {"precision": precision, "threads": arguments.threads, "arms": table, "ratios": ratios}
        arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0 if reached else 1


def _ratio(speeds: dict[str, list[float]], ours: str, other: str) -> float:
    return median(a / b for a, b in zip(speeds[ours], speeds[other], strict=True))


if __name__ == "__main__":
    sys.exit(main())
