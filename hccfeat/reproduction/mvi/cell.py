"""One cell of the study: the networks of a family trained without a fold, and what they say of that fold."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hccfeat.config import MriRecipe
from hccfeat.errors import LeakageError, StoreError
from hccfeat.files import sha256_of, write_atomically, write_text_atomically
from hccfeat.models.weights import load_tensors, read_metadata, save_tensors
from hccfeat.training.mri_data import Exam, fingerprint
from hccfeat.training.mri_fit import TrainedMri, train_family
from hccfeat.training.mri_methods import Method
from hccfeat.training.mri_predict import load_mri, predict_mri
from hccfeat.training.threads import pinned_threads

KIND = "mvi cell"
VERSION = 1


@dataclass(frozen=True)
class CellTask:
    """Everything that makes a cell; goes to a worker process.

    Attributes
    ----------
    fold : int
        The fold that is judged, from 1.
    methods : tuple of Method
        One family.
    recipe : MriRecipe
        Of every network.
    train, judged : tuple of Exam
        Exams of the other folds, and of this one.
    device : str
        ``cpu`` or a GPU.
    folder : Path
        Where finished cells lie.
    keep : str or None
        Method whose weights stay beside the cell.
    """

    fold: int
    methods: tuple[Method, ...]
    recipe: MriRecipe
    train: tuple[Exam, ...]
    judged: tuple[Exam, ...]
    device: str
    folder: Path
    keep: str | None = None

    @property
    def name(self) -> str:
        """For the progress bar."""
        more = f" and {len(self.methods) - 1} more" if len(self.methods) > 1 else ""
        return f"fold {self.fold}, {self.methods[0].name}{more}"

    @property
    def cost(self) -> int:
        """Branches to be trained, a teacher's among them: the longest cells are started first."""
        teacher = [self.methods[0].phases] if self.methods[0].teacher_key and not self._has_teacher() else []
        return sum(len(phases) for phases in [*teacher, *(method.phases for method in self.methods)])

    def _has_teacher(self) -> bool:
        return any(method.network == "cmd_teacher" for method in self.methods)


@dataclass(frozen=True)
class MethodResult:
    """What one network said of a fold.

    ``probabilities`` float64 (n, 3), rows as :attr:`CellResult.exam_ids`; ``facts`` hold ``history``,
    ``parameters`` and ``weights_sha256``.
    """

    probabilities: NDArray[np.float64]
    facts: dict[str, Any]


@dataclass(frozen=True)
class CellResult:
    """A finished cell; ``seconds`` is None where it is not known, ``weights`` where none were kept."""

    fold: int
    exam_ids: tuple[str, ...]
    methods: dict[str, MethodResult]
    seconds: float | None
    weights: Path | None


def cell_identity(task: CellTask) -> str:
    """Hash of everything that decides a cell's numbers: exams, split, methods, recipe, device and torch.

    Raises
    ------
    VolumeError
        If a prepared volume cannot be read.
    """
    about = {
        "version": VERSION,
        "train": fingerprint(task.train, items=True),
        "judged": fingerprint(task.judged, items=True),
        "methods": [asdict(method) for method in task.methods],
        "recipe": task.recipe.model_dump(mode="json"),
        "device": task.device.partition(":")[0],
        "torch": torch.__version__,
        "keep": task.keep,
    }
    return sha256_of(about)


def cell_path(task: CellTask, identity: str) -> Path:
    """Where a cell lies."""
    return task.folder / f"fold{task.fold}-{identity[:16]}.safetensors"


def make_cell(task: CellTask, identity: str) -> Path:
    """Train the networks of a cell, judge its fold, and publish the result atomically.

    On a CPU torch uses one thread, so that any number of workers gives equal bytes. Only a teacher is given the
    clinical items of the judged patients.

    Parameters
    ----------
    task : CellTask
        What to do.
    identity : str
        Of :func:`cell_identity`.

    Raises
    ------
    LeakageError
        If a judged patient trained.
    AnalysisError, ConfigError, InputError, VolumeError
        As :func:`hccfeat.training.mri_fit.train_family`.
    """
    started = time.monotonic()
    path = cell_path(task, identity)
    work = task.folder / "work" / path.stem
    with pinned_threads(1):
        found = train_family(task.train, task.methods, task.recipe, work=work, device=task.device, progress=False)
        trained = {method.name: found[method.name] for method in task.methods}
        _check_unseen(task, list(trained.values()))
        tensors = {name: torch.from_numpy(_judge(task, one)) for name, one in trained.items()}
    if task.keep is not None:
        kept = trained[task.keep].weights
        write_atomically(_weights(path), lambda temporary: _copy(kept, temporary))
    seconds = {"seconds": round(time.monotonic() - started, 3)}
    write_text_atomically(path.with_suffix(".seconds.json"), json.dumps(seconds) + "\n")
    about = {
        "kind": KIND,
        "version": VERSION,
        "identity": identity,
        "fold": task.fold,
        "exams": [exam.exam_id for exam in task.judged],
        "methods": {name: _facts(one) for name, one in trained.items()},
    }
    save_tensors(path, tensors, about)
    shutil.rmtree(work, ignore_errors=True)
    return path


def read_cell(task: CellTask, identity: str) -> CellResult | None:
    """Read a cell; None if it is not finished.

    Raises
    ------
    StoreError
        If the file is damaged or of another version.
    """
    path = cell_path(task, identity)
    if not path.is_file():
        return None
    about = read_metadata(path)
    if (about.get("kind"), about.get("version"), about.get("identity")) != (KIND, VERSION, identity):
        raise StoreError(str(path), "is not a cell of this version", "Delete it and run `hccfeat reproduce` again.")
    tensors = load_tensors(path)
    methods = {name: MethodResult(tensors[name].numpy(), about["methods"][name]) for name in about["methods"]}
    timing = path.with_suffix(".seconds.json")
    seconds = float(json.loads(timing.read_text())["seconds"]) if timing.is_file() else None
    weights = _weights(path) if _weights(path).is_file() else None
    return CellResult(int(about["fold"]), tuple(about["exams"]), methods, seconds, weights)


def _judge(task: CellTask, trained: TrainedMri) -> NDArray[np.float64]:
    network = load_mri(trained.weights)
    teaches = next(method for method in task.methods if method.name == trained.name).network == "cmd_teacher"
    judged = task.judged if teaches else [replace(exam, clinical=None) for exam in task.judged]
    found = predict_mri(network, judged, device=task.device)
    return np.ascontiguousarray(found.probabilities, dtype=np.float64)


def _check_unseen(task: CellTask, trained: Sequence[TrainedMri]) -> None:
    judged = {exam.patient_id for exam in task.judged}
    for one in trained:
        seen = judged & set(one.patients_trained)
        if seen:
            problem = f"{len(seen)} of the judged patients of fold {task.fold} trained it"
            raise LeakageError(f"method {one.name}", problem, "Report this: the folds overlap.")


def _facts(trained: TrainedMri) -> dict[str, Any]:
    return {
        "history": trained.history,
        "parameters": trained.parameters,
        "weights_sha256": trained.weights_sha256,
        "patients_trained": len(trained.patients_trained),
    }


def _weights(path: Path) -> Path:
    return path.with_name(f"{path.stem}-weights.safetensors")


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
