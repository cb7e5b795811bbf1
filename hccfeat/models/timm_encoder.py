"""Any timm model as an encoder, pathology foundation models among them; by a recipe alone."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hccfeat.errors import ConfigError
from hccfeat.models.base import Encoder
from hccfeat.models.registry import register
from hccfeat.models.trunk import timm_trunk

DECIDED_HERE = frozenset(
    {
        "num_classes", "in_chans", "features_only", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay",
        "checkpoint_path", "cache_dir", "scriptable", "exportable", "no_jit", "device", "dtype",
    }
)  # fmt: skip
"""Arguments of ``timm.create_model`` that a recipe cannot set."""


@register("timm")
class TimmEncoder(Encoder):
    """A timm backbone and a linear layer on its pooled features, which are the embedding.

    Parameters
    ----------
    model : str
        Name for ``timm.create_model``, for instance ``resnet50``, ``vit_large_patch16_224`` or
        ``hf-hub:owner/model`` (whose description is fetched or taken from the hub's cache).
    input_px : int
        Side of the patches, pixels. Models of a fixed size (timm's ``fixed_input_size``) are made for it unless
        ``img_size`` or ``dynamic_img_size`` is among the options.
    frozen : bool
        Train the linear layer only; the backbone then stays in evaluation mode, its running statistics included.
    mean, sd : str
        Three numbers for the normalisation of RGB in 0..1, for instance ``"0.485, 0.456, 0.406"``; those of
        timm's data configuration of the model if empty. A local file may ask for others than its architecture.
    trunk_weights : str
        See :func:`hccfeat.models.trunk.timm_trunk`.
    n_classes : int
        Number of logits.
    **options
        Arguments of the model's class in timm: ``img_size``, ``dynamic_img_size``, ``global_pool``,
        ``init_values``, ``reg_tokens``, ... ``mlp_layer`` may name a class of ``timm.layers``.

    Raises
    ------
    ConfigError
        If timm does not take the model or an option, or the model does not give one vector per patch of this size.
    """

    def __init__(
        self,
        *,
        model: str,
        input_px: int = 224,
        frozen: bool = True,
        mean: str = "",
        sd: str = "",
        trunk_weights: str = "none",
        n_classes: int = 2,
        **options: Any,
    ) -> None:
        if refused := sorted(DECIDED_HERE & set(options)):
            raise ConfigError(
                f"timm model {model}", f"cannot be given {', '.join(refused)}", "hccfeat sets it: leave it out."
            )
        trunk = timm_trunk(model, trunk_weights, **_completed(model, input_px, options))
        normalisation = _normalisation(trunk)
        super().__init__(
            input_px=input_px,
            embedding_dim=_vector_length(model, trunk, input_px),
            mean=_three_numbers("mean", mean) if mean else normalisation["mean"],
            sd=_three_numbers("sd", sd) if sd else normalisation["std"],
        )
        self.frozen = frozen
        self.trunk: Any = trunk.requires_grad_(not frozen)
        self.classifier = nn.Linear(self.embedding_dim, n_classes)
        self.train()  # a training need not call it before its first step

    def train(self, mode: bool = True) -> "TimmEncoder":
        """Switch to training mode, a frozen backbone excepted."""
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        return self

    def feature_maps(self, normalised: Tensor) -> Tensor:
        """Run the backbone up to its features, in the layout of the model: maps or tokens."""
        return self.trunk.forward_features(normalised)

    def pool(self, maps: Tensor) -> Tensor:
        """Pool as the model does in front of its classifier: (B, embedding_dim)."""
        return self.trunk.forward_head(maps)

    def embed(self, pooled: Tensor) -> Tensor:
        """Return the pooled vector itself."""
        return pooled

    def classify(self, embedding: Tensor) -> Tensor:
        """Give the logits of a pooled vector."""
        return self.classifier(embedding)


def _completed(model: str, input_px: int, options: dict[str, Any]) -> dict[str, Any]:
    """Options for timm: the layer that a name stands for, and the size of a model that has a fixed one."""
    import timm
    from timm import layers

    options = dict(options)
    if isinstance(name := options.get("mlp_layer"), str):
        if not hasattr(layers, name):
            raise ConfigError("encoder.options.mlp_layer", f"is {name!r}", "Name a class of timm.layers.")
        options["mlp_layer"] = getattr(layers, name)
    if not {"img_size", "dynamic_img_size"} & set(options) and ":" not in model:
        about = timm.get_pretrained_cfg(model.split(".")[0], allow_unregistered=True)
        if about is not None and about.fixed_input_size:
            options["img_size"] = input_px
    return options


def _normalisation(trunk: nn.Module) -> dict[str, Sequence[float]]:
    from timm.data import resolve_model_data_config

    return resolve_model_data_config(trunk)


def _three_numbers(option: str, text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 3:
        raise ConfigError(f"encoder.options.{option}", f"is {text!r}", 'Give three numbers: "0.485, 0.456, 0.406".')
    return numbers


def _vector_length(model: str, trunk: Any, input_px: int) -> int:
    """Length of the pooled vector, by embedding one black patch: timm has no single attribute for it."""
    training, device = trunk.training, next(trunk.parameters()).device
    try:
        with torch.no_grad():
            black = torch.zeros(1, 3, input_px, input_px, device=device)
            vector = trunk.eval().forward_head(trunk.forward_features(black))
    except (AssertionError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"timm model {model}",
            f"cannot embed patches of {input_px} px ({error})",
            "Set options.img_size or options.dynamic_img_size, or another patches.size_px.",
        ) from error
    finally:
        trunk.train(training)
    if not isinstance(vector, Tensor) or vector.ndim != 2:
        raise ConfigError(
            f"timm model {model}",
            "does not give one vector per patch",
            "Set options.global_pool, for instance to avg or token.",
        )
    return vector.shape[1]
