"""Networks of MRI exams by name."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch

from hccfeat.errors import ConfigError
from hccfeat.models.cmd_net import Attention, CmdStudent, CmdTeacher
from hccfeat.models.mri_base import PHASES, MriNetwork
from hccfeat.models.mri_baselines import Cnn3d, CnnLstm, Concat, ConcatTwoStage, M2Net

COMPARATORS: dict[str, type[Concat | Cnn3d | CnnLstm | M2Net | ConcatTwoStage]] = {
    "concat": Concat,
    "cnn3d": Cnn3d,
    "lstm": CnnLstm,
    "m2net": M2Net,
    "concat_2s": ConcatTwoStage,
}
NETWORKS = ("cmd_student", "cmd_teacher", "image_teacher", *COMPARATORS)
"""Names that :func:`create_mri` takes."""


@dataclass(frozen=True)
class MriOptions:
    """Options of :func:`create_mri`, one set for every network; each takes what concerns it.

    Attributes
    ----------
    phases : sequence of str
        A subset of ``PHASES`` in that order; the comparators take both.
    cross_attention : bool
        False leaves it out.
    items, classes : int
        Clinical items of the teacher or of the reconstruction, and logits.
    channels : sequence of int
        Of the four blocks.
    stream_dim, hidden : int
        Length of Z, and width of two-layer heads.
    attention, ca_softmax, ca_residual, clinical_dropout
        See :mod:`hccfeat.models.cmd_net`.
    reconstruct_items : bool
        Give the student the head of P2 reading 15.

    Raises
    ------
    ConfigError
        If a value cannot be.
    """

    phases: Sequence[str] = PHASES
    cross_attention: bool = True
    items: int = 52
    classes: int = 3
    channels: Sequence[int] = (64, 128, 256, 256)
    stream_dim: int = 512
    hidden: int = 256
    attention: Attention = "vector"
    ca_softmax: bool = True
    ca_residual: bool = True
    clinical_dropout: float = 0.1
    reconstruct_items: bool = False

    def __post_init__(self) -> None:
        if not self.phases or tuple(self.phases) != tuple(phase for phase in PHASES if phase in self.phases):
            raise ConfigError(
                "phases", f"are {list(self.phases)}", f"Use some of {', '.join(PHASES)}, in that order."
            )
        if self.attention not in {"vector", "map", "none"}:
            raise ConfigError("attention", f"is {self.attention!r}", "Use vector, map or none.")
        if len(self.channels) != 4 or min(self.channels) < 1:
            raise ConfigError("channels", f"are {list(self.channels)}", "Give the widths of four blocks.")
        for option in ("items", "classes", "stream_dim", "hidden"):
            if getattr(self, option) < 1:
                raise ConfigError(option, f"is {getattr(self, option)}", "Use a number from 1.")
        if not 0 <= self.clinical_dropout < 1:
            raise ConfigError("clinical_dropout", f"is {self.clinical_dropout}", "Use a value from 0 to below 1.")


def create_mri(name: str, /, **options: Any) -> MriNetwork | CmdTeacher:
    """Make a network.

    Parameters
    ----------
    name : str
        ``cmd_student``; ``cmd_teacher``, whose forward pass also takes raw clinical items; ``image_teacher``, the
        student's body under the teacher's head; or a comparator: ``concat``, ``cnn3d``, ``lstm``, ``m2net``,
        ``concat_2s``.
    **options
        See :class:`MriOptions`; one that does not concern the network is ignored.

    Returns
    -------
    MriNetwork or CmdTeacher
        A module in training mode, on the CPU, its 3-D weights in the memory format channels_last_3d, initialised
        from torch's global random state.

    Raises
    ------
    ConfigError
        If the name or an option is unknown, or an option has a value that cannot be.
    """
    if name not in NETWORKS:
        raise ConfigError(f"network {name}", "does not exist", f"Known networks: {', '.join(NETWORKS)}.")
    known = [field.name for field in fields(MriOptions)]
    if unknown := sorted(set(options) - set(known)):
        raise ConfigError(
            f"network {name}", f"has no option {', '.join(unknown)}", f"Its options: {', '.join(known)}."
        )
    network = _make(name, MriOptions(**options))
    # what tensor cores take; on a CPU neither layout is faster throughout
    return network.to(memory_format=torch.channels_last_3d)


def _make(name: str, options: MriOptions) -> MriNetwork | CmdTeacher:
    size: dict[str, Any] = {
        "channels": tuple(options.channels),
        "stream_dim": options.stream_dim,
        "classes": options.classes,
    }
    if name in COMPARATORS:
        if tuple(options.phases) != PHASES:
            raise ConfigError(
                f"network {name}", f"needs the phases {', '.join(PHASES)}", "Use cmd_student for one."
            )
        return COMPARATORS[name](**size, hidden=options.hidden)
    shared: dict[str, Any] = {
        **size,
        "phases": tuple(options.phases),
        "attention": options.attention if options.cross_attention else "none",
        "ca_softmax": options.ca_softmax,
        "ca_residual": options.ca_residual,
    }
    if name == "cmd_teacher":
        dropout = options.clinical_dropout
        return CmdTeacher(**shared, items=options.items, hidden=options.hidden, clinical_dropout=dropout)
    return CmdStudent(
        **shared,
        hidden=options.hidden if name == "image_teacher" else None,
        reconstructed=options.items if options.reconstruct_items else None,
    )
