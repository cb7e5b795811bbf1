"""A study with a preset of small, quick encoders; also run as a program that is killed again and again.

Usage: python -m tests.extraction.cells_study STUDY KILL [KILL ...]
Each KILL is a fork that runs the cells and dies by SIGKILL: ``epoch:N`` right after the Nth checkpoint, ``write:N``
when the Nth cell is about to be published. A last fork runs undisturbed. For every kill a line of JSON is printed.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hccfeat.extraction.cell_training
import tests.training.toy  # noqa: F401  registers the encoder
from hccfeat.config import load_recipe, load_study_config
from hccfeat.extraction.cells import Cells
from hccfeat.progress import set_quiet
from hccfeat.reproduction.presets import load_preset
from hccfeat.training import callbacks

PRESET = """
name = "toy"
title = "toy encoders"
reduced = true
recipe = "toy"
chosen = "toy"
baseline = "other"
folds = 2
test_fraction = 0.25
external_per_class = 2
external_patches = 4
precision = "float32"

[[models]]
label = "toy"
subsets = ["1/2", "1/1"]
final = true

[[models]]
label = "other"
encoder = "toy_convolution"
subsets = ["1/1"]
folds = [1]
training = { seed = 7 }
"""


def add_toy_preset(study: Path) -> None:
    """Give a study the recipe and the preset ``toy``; patches are those of the recipe ``tiny``."""
    fields = load_recipe("tiny").model_dump(mode="json", include={"patches", "tissue", "stain"})
    fields |= {"name": "toy", "encoder": {"name": "toy_convolution", "trunk_weights": "none"}}
    fields["training"] = {"learning_rate": 1e-3, "batch_size": 16, "max_epochs": 3}
    _write(study / "data_catalog" / "feature_sets" / "toy.toml", _toml(fields))
    _write(study / "data_catalog" / "reproduction" / "toy.toml", PRESET)


def toy_cells(study: Path, **options: Any) -> Cells:
    """Cells of the preset ``toy``."""
    chosen = {"device": "cpu", "external": "external"} | options
    return Cells(study, load_study_config(study), load_preset("toy", study), **chosen)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _toml(fields: dict[str, Any], table: str = "") -> str:
    """TOML of nested tables with plain values."""
    own = {name: value for name, value in fields.items() if not isinstance(value, dict)}
    lines = [f"[{table}]"] if table else []
    lines += [f"{name} = {json.dumps(value)}" for name, value in own.items() if value is not None]
    inner = [
        _toml(value, f"{table}.{name}".lstrip(".")) for name, value in fields.items() if isinstance(value, dict)
    ]
    return "\n".join([*lines, *inner]) + "\n"


def _deadly(call: Callable[..., None], count: int, *, before: bool) -> Callable[..., None]:
    calls = 0

    def counted(*args: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if before and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        call(*args, **options)
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)

    return counted


def _run(study: Path, kill: str) -> None:
    where, _, count = kill.partition(":")
    if where == "epoch":
        callbacks.EpochRecord._publish = _deadly(callbacks.EpochRecord._publish, int(count), before=False)
    elif where == "write":
        module = hccfeat.extraction.cell_training
        module.write_cell = _deadly(module.write_cell, int(count), before=True)
    toy_cells(study).run()


def main(study: Path, kills: list[str]) -> None:
    """Kill as asked, then run to the end."""
    set_quiet(True)
    for kill in [*kills, ""]:
        child = os.fork()
        if child == 0:
            _run(study, kill)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        left = sorted((study / ".hccfeat" / "training").glob("*/last.ckpt"))
        finished = len(list((study / "results" / "cells").glob("[!.]*[0-9a-f].safetensors")))
        facts = {"kill": kill, "killed": os.WIFSIGNALED(status), "status": status}
        print(json.dumps(facts | {"checkpoints": len(left), "finished": finished}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
