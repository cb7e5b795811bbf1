"""From methods and a recipe to their networks."""

import re
from typing import Any

import torch
from torch import nn

from hccfeat.config import MriRecipe
from hccfeat.errors import ConfigError
from hccfeat.models.mri_base import PHASES
from hccfeat.models.mri_registry import create_mri
from hccfeat.training.mri_methods import TEACHER, Method, TeacherKind
from hccfeat.training.seeds import derived_seed

TEACHER_NETWORKS: dict[TeacherKind, str] = {
    "clinical": "cmd_teacher",
    "permuted": "cmd_teacher",
    "image": "image_teacher",
}


def teacher_of(methods: tuple[Method, ...]) -> tuple[TeacherKind, Method] | None:
    """Give the kind of a family's teacher, and the teacher as a method; None where there is none.

    Raises
    ------
    ConfigError
        If a name repeats, or the methods do not share one teacher.
    """
    names = [method.name for method in methods]
    if not methods or len(set(names)) < len(names) or len({method.teacher_key for method in methods}) > 1:
        raise ConfigError(
            f"methods {', '.join(names)}",
            "are not one family: they repeat, or have different teachers",
            "Group them with hccfeat.training.mri_methods.families.",
        )
    key = methods[0].teacher_key
    if key is None:
        return None
    given = next((method for method in methods if method.network == "cmd_teacher"), None)
    kind: TeacherKind = "clinical" if given or methods[0].distillation is None else methods[0].distillation.teacher
    return kind, given or Method(TEACHER, TEACHER_NETWORKS[kind], methods[0].phases, methods[0].cross_attention)


def file_stem(method: Method, kind: TeacherKind | None = None) -> str:
    """Name the files of a method; those of a teacher tell what teacher it is."""
    parts = [method.name]
    if kind is not None and method.name == TEACHER:
        parts += [] if kind == "clinical" else [kind]
        parts += [] if method.phases == PHASES else method.phases
        parts += [] if method.cross_attention else ["w/o-ca"]
    return re.sub(r"[^a-z0-9_]+", "-", "-".join(parts).lower()).strip("-")


def network_options(method: Method, recipe: MriRecipe, items: int | None) -> dict[str, Any]:
    """Give the options of :func:`hccfeat.models.mri_registry.create_mri` as JSON values.

    Parameters
    ----------
    method : Method
        What is trained.
    recipe : MriRecipe
        Its ``network``, and whether items are reconstructed.
    items : int or None
        Number of clinical items that the training knows, None where it knows none.
    """
    learns_items = items is not None and method.distillation is not None and recipe.training.lambda_clinical > 0
    options = recipe.network.model_dump(mode="json")
    options |= {"phases": list(method.phases), "cross_attention": method.cross_attention}
    options |= {"reconstruct_items": learns_items}
    return options if items is None else options | {"items": items}


def build_network(name: str, options: dict[str, Any], seed: int) -> nn.Module:
    """Make an untrained network; equal names, options and seeds give equal weights. Sets torch's random state."""
    torch.manual_seed(derived_seed(seed, "initial weights", name))
    network: nn.Module = create_mri(name, **options)
    return network
