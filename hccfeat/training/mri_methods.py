"""The methods of P2's tables: which network is judged, and who teaches it."""

from dataclasses import dataclass
from typing import Literal

from hccfeat.errors import ConfigError
from hccfeat.models.mri_base import PHASES

TeacherKind = Literal["clinical", "image", "permuted"]


@dataclass(frozen=True)
class Distillation:
    """Who teaches, and by which losses.

    Attributes
    ----------
    teacher : {"clinical", "image", "permuted"}
        CMD-Net's teacher, one without clinical items, or CMD-Net's with the items of another training patient.
    class_weight, feature_weight : float or None
        Weights of the class-level and feature-level KL; None takes the recipe's.
    similarity_weight : float
        Weight of the similarity-preserving loss of Tung and Mori.
    temperature : float
        Of the class-level KL, which is then multiplied by its square (Hinton).
    """

    teacher: TeacherKind = "clinical"
    class_weight: float | None = None
    feature_weight: float | None = None
    similarity_weight: float = 0.0
    temperature: float = 1.0


@dataclass(frozen=True)
class Method:
    """A row of a table.

    Attributes
    ----------
    name : str
        Key in files and tables; P2's own name where it has one.
    network : str
        Name of :func:`hccfeat.models.mri_registry.create_mri`: what is judged.
    phases : tuple of str
        Phases that the network, and its teacher, are given.
    cross_attention : bool
        False leaves it out of network and teacher (``w/o-CA``).
    distillation : Distillation or None
        None: no teacher.
    """

    name: str
    network: str = "cmd_student"
    phases: tuple[str, ...] = PHASES
    cross_attention: bool = True
    distillation: Distillation | None = None

    @property
    def teacher_key(self) -> tuple[str, tuple[str, ...], bool] | None:
        """What decides the teacher; methods with an equal key share one, for no student changes it."""
        if self.network == "cmd_teacher":
            return ("clinical", self.phases, self.cross_attention)
        if self.distillation is None:
            return None
        return (self.distillation.teacher, self.phases, self.cross_attention)


TEACHER = "teacher"
OURS = "ours"

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("Concat", "concat"),
        Method("3DCNN", "cnn3d"),
        Method("LSTM", "lstm"),
        Method("M2Net", "m2net"),
        Method("Concat_2S", "concat_2s"),
        Method("KD_ours", distillation=Distillation(feature_weight=0.0, temperature=4.0)),
        Method("SP_ours", distillation=Distillation(feature_weight=0.0, similarity_weight=1.0)),
        Method(OURS, distillation=Distillation()),
        Method("S-pre", phases=("pre",)),
        Method("S-hbp", phases=("hbp",)),
        Method("S-pre-hbp"),
        Method("ours-w/o-hbp", phases=("pre",), distillation=Distillation()),
        Method("ours-w/o-pre", phases=("hbp",), distillation=Distillation()),
        Method("ours-w/o-CA", cross_attention=False, distillation=Distillation()),
        Method(TEACHER, "cmd_teacher"),
        Method("ours-w/o-class-KL", distillation=Distillation(class_weight=0.0)),
        Method("ours-w/o-feature-KL", distillation=Distillation(feature_weight=0.0)),
        Method("image-teacher", distillation=Distillation(teacher="image")),
        Method("permuted-teacher", distillation=Distillation(teacher="permuted")),
    )
}
"""Every method by name: Table 1, Table 2, what the paper lacks, and the controls of the evidence study."""


def method(name: str) -> Method:
    """Give a method by name.

    Raises
    ------
    ConfigError
        If there is none of this name.
    """
    if name not in METHODS:
        raise ConfigError(f"method {name}", "does not exist", f"Methods: {', '.join(METHODS)}.")
    return METHODS[name]


def families(methods: list[Method]) -> list[tuple[Method, ...]]:
    """Group methods that share a teacher, in order of first appearance; one without a teacher stands alone."""
    groups: dict[object, list[Method]] = {}
    for item in methods:
        groups.setdefault(item.teacher_key or item.name, []).append(item)
    return [tuple(group) for group in groups.values()]
