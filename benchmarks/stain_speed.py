"""How fast are Vahadane's fit and its application, and how near to SPAMS, beside tiatoolbox and torch-staintools?

    python benchmarks/stain_speed.py IMAGE [IMAGE ...]
    python benchmarks/stain_speed.py IMAGE --spams other/bin/python --peers another/bin/python --out stain.json

IMAGE is any H&E image of 224 px or more. One core throughout. The fit is the one of a slide: at most 100,000
stained pixels, vectors and concentrations; the application is that to its tiles of 224 px in memory, 64 at least.
Angles are those of the fit on all pixels of an image to the answer of SPAMS (``pip install spams-bin pillow
scikit-image``). The peers need another environment (``pip install "tiatoolbox==2.1.*" torch-staintools``) and are
asked for one target and few tiles, for they are slow. Exits with 1 if a target is missed in processor time.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hccfeat.config import StainRecipe
from hccfeat.slides.stain import fit_stain, fit_vahadane, normalise

SIDE, LEAST_MEASURED = 224, 64
MOST_FIT_SECONDS, LEAST_TILES, MOST_DEGREES = 1.0, 1000.0, 1.0

SPAMS = """
import json, sys
import numpy as np, spams
from PIL import Image
from skimage.color import rgb2lab
vectors = {}
for path in sys.argv[1:]:
    rgb = np.array(Image.open(path).convert("RGB"))
    density = -np.log(np.maximum(rgb.astype(float), 1) / 255).reshape(-1, 3)
    tissue = rgb2lab(rgb)[..., 0].ravel() < 80
    found = spams.trainDL(
        np.asfortranarray(density[tissue].T), K=2, lambda1=0.1, mode=2, modeD=0, posAlpha=True, posD=True,
        verbose=False, numThreads=1, batchsize=256, iter=5000,
    ).T
    found = found[np.argsort(-found[:, 0])]
    vectors[path] = (found / np.linalg.norm(found, axis=1, keepdims=True)).tolist()
print("RESULT" + json.dumps(vectors))
"""

PEERS = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np, torch
from PIL import Image
torch.set_num_threads(1)
rgb = np.array(Image.open(sys.argv[1]).convert("RGB"))
corners = [(y, x) for y in range(0, len(rgb) - 223, 224) for x in range(0, rgb.shape[1] - 223, 224)]
tiles = [rgb[y : y + 224, x : x + 224] for y, x in corners]
def clock(work):
    start = time.process_time()
    work()
    return time.process_time() - start
rows = {}
from tiatoolbox.tools.stainnorm import MacenkoNormalizer, VahadaneNormalizer
for name, make, count in (("Vahadane", VahadaneNormalizer, 4), ("Macenko", MacenkoNormalizer, 16)):
    engine = make()
    fit = clock(lambda: engine.fit(rgb[:512, :512]))
    apply = clock(lambda: [engine.transform(tile.copy()) for tile in tiles[:count]])
    vectors = np.asarray(engine.stain_matrix_target)[:2].tolist() if name == "Vahadane" else None
    rows["tiatoolbox " + name] = [fit, min(count, len(tiles)) / apply, vectors]
from torch_staintools.normalizer import NormalizerBuilder
for name, count in (("macenko", 8),) + ((("vahadane", 1),) if sys.argv[2] == "slow" else ()):
    target = torch.from_numpy(rgb[:512, :512].copy()).permute(2, 0, 1)[None].float() / 255
    engine = NormalizerBuilder.build(name)
    fit = clock(lambda: engine.fit(target))
    batch = [torch.from_numpy(tile.copy()).permute(2, 0, 1)[None].float() / 255 for tile in tiles[:count]]
    apply = clock(lambda: [engine(tile) for tile in batch])
    rows["torch-staintools " + name.title()] = [fit, len(batch) / apply, None]
print("RESULT" + json.dumps(rows))
"""


def main() -> int:
    arguments = _arguments()
    torch.set_num_threads(1)
    recipe = StainRecipe()
    fits, speeds, angles = {}, {}, {}
    spams = _run(arguments.spams, SPAMS, *map(str, arguments.images)) if arguments.spams else {}
    for path in arguments.images:
        with Image.open(path) as image:
            rgb = np.array(image.convert("RGB"))
        fit = fit_stain(rgb.reshape(-1, 3), recipe)
        fits[path.name] = _seconds(lambda pixels=rgb: fit_stain(pixels.reshape(-1, 3), recipe), arguments.repeats)
        tiles = _tiles(rgb)
        seconds = _seconds(lambda tiles=tiles, fit=fit: normalise(tiles, fit, recipe), arguments.repeats)
        speeds[path.name] = len(tiles) / seconds
        if str(path) in spams:
            angles[path.name] = _degrees(fit_vahadane(rgb), np.array(spams[str(path)]))
    peers = _run(arguments.peers, PEERS, str(arguments.images[0]), arguments.slow) if arguments.peers else {}
    return _report(arguments, fits, speeds, angles, peers)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--spams", metavar="PYTHON", help="interpreter that has spams")
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter that has tiatoolbox and torch-staintools")
    parser.add_argument(
        "--slow",
        action="store_const",
        const="slow",
        default="quick",
        help="torch-staintools' Vahadane too (minutes)",
    )
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    return parser.parse_args()


def _tiles(rgb: NDArray[np.uint8]) -> torch.Tensor:
    """Tiles as patches come, channels last in memory: uint8 (N, 3, 224, 224)."""
    height, width = rgb.shape[0] // SIDE, rgb.shape[1] // SIDE
    cut = rgb[: height * SIDE, : width * SIDE].reshape(height, SIDE, width, SIDE, 3).swapaxes(1, 2)
    tiles = cut.reshape(-1, SIDE, SIDE, 3)
    return torch.from_numpy(np.tile(tiles, (-(-LEAST_MEASURED // len(tiles)), 1, 1, 1))).permute(0, 3, 1, 2)


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """Best processor time of some runs."""
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def _degrees(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).max())


def _run(python: str, script: str, *rest: str) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    command = [python, "-c", script, *rest]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not lines:
        raise SystemExit(f"{python} failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT"))
    return found


def _report(
    arguments: argparse.Namespace,
    fits: dict[str, float],
    speeds: dict[str, float],
    angles: dict[str, float],
    peers: dict[str, Any],
) -> int:
    print(f"{'':28s} {'fit, s':>8s} {'tiles/s':>9s} {'degrees to SPAMS':>17s}")
    for name, seconds in fits.items():
        angle = f"{angles[name]:.2f}" if name in angles else "not measured"
        print(f"{name:28s} {seconds:8.2f} {speeds[name]:9.0f} {angle:>17s}")
    for name, (seconds, tiles, vectors) in peers.items():
        rounded = "" if vectors is None else f"  vectors {np.round(vectors, 3).tolist()}"
        print(f"{name:28s} {seconds:8.2f} {tiles:9.2f}{rounded}")
    if not peers:
        print("tiatoolbox, torch-staintools: not measured in this run (--peers PYTHON)")
    reached = max(fits.values()) <= MOST_FIT_SECONDS and min(speeds.values()) >= LEAST_TILES
    reached &= max(angles.values(), default=0.0) <= MOST_DEGREES
    print(f"targets ({MOST_FIT_SECONDS:g} s, {LEAST_TILES:g} tiles/s, {MOST_DEGREES:g} degree): "
          f"{'reached' if reached else 'missed'}")  # fmt: skip
    if arguments.out:
        document = {"fit_seconds": fits, "tiles_per_second": speeds, "degrees": angles, "peers": peers}
        arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
