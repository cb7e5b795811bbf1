"""CNN-SASM, the encoder of P1, and the four models that leave something of it out (P1, Table 2)."""

from hccfeat.models.attention import TokenAttention
from hccfeat.models.family import AttentionCnn
from hccfeat.models.registry import register


@register("cnn_sasm")
class CnnSasm(AttentionCnn):
    """CNN-SASM (P1, Methods; its Table 2 gives the size): 12,303,980 parameters at 224 px.

    Both modules with their softmaxes; the pooled vector lies in (0, 1]. Options: see :class:`AttentionCnn`.
    """

    csa: TokenAttention
    ssa: TokenAttention


@register("cnn_selfattn")
class CnnSelfAttn(AttentionCnn):
    """CNN-SelfAttn: CNN-SASM without the two softmaxes, so of the same size."""

    softmax = False
    csa: TokenAttention
    ssa: TokenAttention


@register("cnn_selfattn_attn")
class CnnSelfAttnAttn(AttentionCnn):
    """CNN-SelfAttn-Attn: CBAM's channel and spatial gates in place of the two softmaxes; 12,336,846 parameters."""

    softmax = False
    gated = True
    csa: TokenAttention
    ssa: TokenAttention


@register("cnn_csa")
class CnnCsa(AttentionCnn):
    """CNN-CSA: trunk, CSA and head, without SSA; 11,252,332 parameters at 224 px.

    The released code lacks this class. The pooled vector is read as in CNN-SASM: the maximum over the positions,
    here of the CSA output (each position sums to 1 over the channels). Options: see :class:`AttentionCnn`.
    """

    csa: TokenAttention

    def __init__(
        self,
        *,
        input_px: int = 224,
        csa_heads: int = 7,
        dropout: float = 0.3,
        attention_dropout: float | None = None,
        layer_norm_eps: float = 1e-5,
        trunk_weights: str = "none",
        n_classes: int = 2,
    ) -> None:
        super().__init__(
            input_px=input_px,
            csa_heads=csa_heads,
            ssa_heads=None,
            dropout=dropout,
            attention_dropout=attention_dropout,
            layer_norm_eps=layer_norm_eps,
            trunk_weights=trunk_weights,
            n_classes=n_classes,
        )


@register("cnn_ssa")
class CnnSsa(AttentionCnn):
    """CNN-SSA: trunk, SSA and head, without CSA; 12,294,082 parameters at any patch size.

    The released code lacks this class. The tokens of SSA are the positions of the trunk's maps; the pooled vector
    is the maximum over the positions, as in CNN-SASM. Options: see :class:`AttentionCnn`.
    """

    ssa: TokenAttention

    def __init__(
        self,
        *,
        input_px: int = 224,
        ssa_heads: int = 8,
        dropout: float = 0.3,
        attention_dropout: float | None = None,
        layout: str = "transpose",
        layer_norm_eps: float = 1e-5,
        trunk_weights: str = "none",
        n_classes: int = 2,
    ) -> None:
        super().__init__(
            input_px=input_px,
            csa_heads=None,
            ssa_heads=ssa_heads,
            dropout=dropout,
            attention_dropout=attention_dropout,
            layout=layout,
            layer_norm_eps=layer_norm_eps,
            trunk_weights=trunk_weights,
            n_classes=n_classes,
        )
