"""Train the networks of a family of methods beside each other, resumably (P2)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hccfeat.config import GRADES, MriRecipe, MriTrainingRecipe
from hccfeat.errors import StoreError
from hccfeat.files import sha256_of
from hccfeat.models.item_scaler import ItemScaler
from hccfeat.models.weights import load_weights, read_metadata, save_weights, weights_sha256
from hccfeat.training.devices import Precision, resolve_device, resolve_precision
from hccfeat.training.mri_build import build_network, file_stem, network_options, teacher_of
from hccfeat.training.mri_data import Exam, ExamBatches, check_exams, fingerprint, item_rows, with_items_of_others
from hccfeat.training.mri_learner import Learner
from hccfeat.training.mri_loop import Course, run_course
from hccfeat.training.mri_methods import Method, TeacherKind
from hccfeat.training.threads import pinned_threads

KIND = "mri"
"""What the metadata of a weights file say it is."""

STAGED_NETWORKS = frozenset({"concat_2s"})
"""Networks whose heads of single phases learn before the joint one."""


@dataclass(frozen=True)
class TrainedMri:
    """A trained network.

    Attributes
    ----------
    name : str
        Of the method.
    weights : Path
        safetensors file; its metadata hold method, network, recipe and history.
    weights_sha256 : str
        Hash of that file.
    history : list of dict
        One per epoch: epoch (from 1), learning_rate, and each of ``mri_learner.TERMS``, None where the network has
        no such loss.
    parameters : int
        Number of learned parameters.
    patients_trained : tuple of str
        Sorted; not in the file.
    """

    name: str
    weights: Path
    weights_sha256: str
    history: list[dict[str, Any]]
    parameters: int
    patients_trained: tuple[str, ...]


@dataclass(frozen=True)
class _Family:
    """What the networks of a family share."""

    exams: list[Exam]
    recipe: MriRecipe
    work: Path
    checkpoint: Path
    device: torch.device
    precision: Precision
    items: int | None
    data: str

    @property
    def training(self) -> MriTrainingRecipe:
        return self.recipe.training


@dataclass(frozen=True)
class _Plan:
    """A network to be trained: the method, its options, its file and its identity."""

    method: Method
    options: dict[str, Any]
    weights: Path
    identity: str

    @property
    def finished(self) -> bool:
        try:
            return read_metadata(self.weights).get("identity") == self.identity
        except StoreError:
            return False


def train_family(
    exams: Sequence[Exam],
    methods: Sequence[Method],
    recipe: MriRecipe,
    *,
    work: Path,
    device: str = "auto",
    threads: int | None = None,
    progress: bool = True,
) -> dict[str, TrainedMri]:
    """Train methods that share a teacher, or one without a teacher (docs/methods-mri.md; P2 readings 12 to 20).

    Adam with a cosine learning rate for a fixed number of epochs. The teacher learns too, and each batch goes
    through it once, whatever the number of students; it is detached in all that they learn from it, so that each
    network ends with the bytes that it would have had without the others. Called again with equal arguments after
    a kill, the training continues from its checkpoint, and on a CPU with equal threads ends with the bytes of an
    undisturbed run. A finished network is not trained again, unless one that is not finished needs its teaching.

    Parameters
    ----------
    exams : sequence of Exam
        Training patients only, in any order, each with a grade.
    methods : sequence of Method
        One of :func:`hccfeat.training.mri_methods.families`.
    recipe : MriRecipe
        ``network``, ``training`` and ``volumes.shape`` are used.
    work : Path
        Folder of the weights and the checkpoint, made if missing; may be that of other families of the same exams.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:<number>``.
    threads : int, optional
        Threads of torch; None leaves them alone.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict
        By name, the methods and their teacher (``TEACHER``) if there is one.

    Raises
    ------
    ConfigError
        If the methods are not one family, or the device is absent.
    InputError, VolumeError
        If an exam repeats, has no grade, or lacks the items that a teacher needs, or a volume cannot be read.
    AnalysisError
        If there are too few exams, they have one grade, or a loss stops being a number.
    """
    teaching = teacher_of(tuple(methods))
    family = _family(exams, methods, recipe, teaching, work, resolve_device(device))
    teacher = None if teaching is None else _plan(family, teaching[1], teaching[0])
    students = [_plan(family, method) for method in methods if teacher is None or method != teacher.method]
    work.mkdir(parents=True, exist_ok=True)
    with pinned_threads(threads), _repeatable():
        _train(family, teacher, [plan for plan in students if not plan.finished], progress)
    patients = tuple(sorted({exam.patient_id for exam in exams}))
    plans = [*([teacher] if teacher else []), *students]
    return {plan.method.name: _result(plan, patients) for plan in plans}


def _family(
    exams: Sequence[Exam],
    methods: Sequence[Method],
    recipe: MriRecipe,
    teaching: tuple[TeacherKind, Method] | None,
    work: Path,
    device: torch.device,
) -> _Family:
    kept = check_exams(exams)
    kind, named = teaching or (None, methods[0])
    if kind == "permuted":
        kept = with_items_of_others(kept, recipe.training.seed)
    uses_items = kind in {"clinical", "permuted"}
    return _Family(
        exams=kept,
        recipe=recipe,
        work=work,
        checkpoint=work / f"{file_stem(named, kind)}.ckpt",
        device=device,
        precision=resolve_precision(recipe.training.precision, device),
        items=item_rows(kept).shape[1] if uses_items else None,
        data=fingerprint(kept, items=uses_items),
    )


def _plan(family: _Family, method: Method, kind: TeacherKind | None = None) -> _Plan:
    options = network_options(method, family.recipe, family.items)
    about = {
        "network": method.network,
        "options": options,
        "training": family.training.model_dump(mode="json"),
        "distillation": None if method.distillation is None else asdict(method.distillation),
        "exams": family.data,
        "precision": family.precision,
        "torch": torch.__version__,
    }
    return _Plan(method, options, family.work / f"{file_stem(method, kind)}.safetensors", sha256_of(about))


def _train(family: _Family, teacher: _Plan | None, students: list[_Plan], progress: bool) -> None:
    """Train what is not finished; a staged teacher first, all by itself."""
    frozen = None
    if teacher is not None and family.training.staged:
        if not teacher.finished:
            _fit(family, teacher, [], None, progress)
        frozen = build_network(teacher.method.network, teacher.options, family.training.seed)
        load_weights(teacher.weights, frozen)
        frozen.to(family.device).eval()
        teacher = None
    if students or (teacher is not None and not teacher.finished):
        _fit(family, teacher, students, frozen, progress)


def _fit(
    family: _Family, teacher: _Plan | None, students: list[_Plan], frozen: nn.Module | None, progress: bool
) -> None:
    """Train networks beside each other and publish their weights."""
    plans = [*([teacher] if teacher else []), *students]
    learners = [_learner(family, plan) for plan in plans]
    scaler = getattr(learners[0].network if teacher else frozen, "scaler", None)
    for learner in learners:
        learner.scaler = scaler
    course = Course(
        students=learners[1:] if teacher else learners,
        teacher=learners[0] if teacher else None,
        frozen=frozen,
        recipe=family.training,
        batches=ExamBatches(family.exams, items=family.items is not None, shape=family.recipe.volumes.shape),
        device=family.device,
        lower=family.precision == "bf16",
        checkpoint=family.checkpoint,
    )
    others = f" and {len(plans) - 1} more" if len(plans) > 1 else ""
    run_course(course, title=f"training {plans[0].method.name}{others}", progress=progress)
    for plan, learner in zip(plans, learners, strict=True):
        _publish(family.recipe, plan, learner)
    family.checkpoint.unlink(missing_ok=True)


def _learner(family: _Family, plan: _Plan) -> Learner:
    network = build_network(plan.method.network, plan.options, family.training.seed)
    if isinstance(scaler := getattr(network, "scaler", None), ItemScaler):
        scaler.fit(item_rows(family.exams))
    return Learner(
        name=plan.method.name,
        network=network.to(family.device),
        recipe=family.training,
        draws=plan.method.network,
        identity=plan.identity,
        distillation=plan.method.distillation,
        stages="before" if plan.method.network in STAGED_NETWORKS else "beside",
        class_weights=_class_weights(family.exams).to(family.device) if family.training.class_weights else None,
    )


def _class_weights(exams: Sequence[Exam]) -> Tensor:
    """Inverse frequency of each grade, 1 on average over the exams."""
    counts = torch.bincount(torch.tensor([exam.label for exam in exams]), minlength=len(GRADES))
    return len(exams) / (len(GRADES) * counts.clamp(min=1).float())


def _publish(recipe: MriRecipe, plan: _Plan, learner: Learner) -> None:
    about = {
        "kind": KIND,
        "method": asdict(plan.method),
        "network": plan.method.network,
        "options": plan.options,
        "recipe": recipe.model_dump(mode="json"),
        "identity": plan.identity,
        "history": learner.history,
        "parameters": sum(parameter.numel() for parameter in learner.network.parameters()),
    }
    save_weights(plan.weights, learner.network, about)


def _result(plan: _Plan, patients: tuple[str, ...]) -> TrainedMri:
    about = read_metadata(plan.weights)
    return TrainedMri(
        name=plan.method.name,
        weights=plan.weights,
        weights_sha256=weights_sha256(plan.weights),
        history=about["history"],
        parameters=about["parameters"],
        patients_trained=patients,
    )


@contextmanager
def _repeatable() -> Iterator[None]:
    """Leave the caller's random state as it was, and let cuDNN choose nothing by timing."""
    with (
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        yield
