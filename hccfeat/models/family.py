"""The family of CNN-SASM: ResNet18, channel and/or spatial self-attention, and a small head."""

from typing import ClassVar

from torch import Tensor, nn

from hccfeat.errors import ConfigError
from hccfeat.models.attention import TokenAttention
from hccfeat.models.base import Encoder
from hccfeat.models.cbam import ChannelGate, PositionGate
from hccfeat.models.trunk import TRUNK_CHANNELS, TRUNK_STRIDE, resnet18_trunk

LAYOUTS = ("transpose", "reshape")
PPS_DIM = 128


class AttentionCnn(Encoder):
    """ResNet18, channel attention (CSA), spatial attention (SSA), maximum over positions, and a two-layer head.

    The trunk's maps (B, 512, h, w) are 512 channel tokens of width h w for CSA; then h w position tokens of width
    512 for SSA; the maximum over the positions is the pooled vector, and the first head layer, after ReLU, is the
    128-d PPS (P1 reading 1). A member of the family leaves something out: see the subclasses.

    Parameters
    ----------
    input_px : int
        Side of the patches, pixels. The token width of CSA follows it: ceil(input_px / 32) squared (49 at 224).
    csa_heads, ssa_heads : int or None
        Heads of the two modules; ``csa_heads`` must divide the token width, ``ssa_heads`` 512. None leaves the
        module out.
    dropout : float
        Used everywhere: attention weights, projections, head.
    attention_dropout : float, optional
        Of the attention weights, if other than ``dropout``. Without it CSA needs no 512 x 512 maps in memory, and
        training on a processor is several times as fast: the small presets set it to 0.
    layout : {"transpose", "reshape"}
        How channel tokens become position tokens. ``reshape`` reproduces the released code, where a token then
        is no position (P1 reading 3).
    layer_norm_eps : float
        1e-12 in the released code (P1 reading 6).
    trunk_weights : str
        See :func:`hccfeat.models.trunk.timm_trunk`.
    n_classes : int
        Number of logits.

    Attributes
    ----------
    softmax : bool
        Whether each attention module ends with its softmax over the tokens.
    gated : bool
        Whether CBAM's gates follow the attention modules.
    csa, ssa : TokenAttention or None
        The attention modules, None where the member leaves one out.

    Raises
    ------
    ConfigError
        If the heads do not divide the token width or ``layout`` is unknown.
    """

    softmax: ClassVar[bool] = True
    gated: ClassVar[bool] = False

    def __init__(
        self,
        *,
        input_px: int = 224,
        csa_heads: int | None = 7,
        ssa_heads: int | None = 8,
        dropout: float = 0.3,
        attention_dropout: float | None = None,
        layout: str = "transpose",
        layer_norm_eps: float = 1e-5,
        trunk_weights: str = "none",
        n_classes: int = 2,
    ) -> None:
        super().__init__(input_px=input_px, embedding_dim=PPS_DIM)
        if layout not in LAYOUTS:
            raise ConfigError("layout", f"is {layout!r}", f"Use {' or '.join(LAYOUTS)}.")
        attention_dropout = dropout if attention_dropout is None else attention_dropout
        for option, value in (("dropout", dropout), ("attention_dropout", attention_dropout)):
            if not 0 <= value < 1:
                raise ConfigError(option, f"is {value}", "Use a value from 0 to below 1.")
        self.side = -(-input_px // TRUNK_STRIDE)
        self.layout = layout

        def attention(width: int, heads: int | None, option: str) -> TokenAttention | None:
            if heads is None:
                return None
            return TokenAttention(
                width,
                heads,
                dropout=dropout,
                attention_dropout=attention_dropout,
                layer_norm_eps=layer_norm_eps,
                softmax=self.softmax,
                option=option,
            )

        # the order decides the initial weights that a seed gives
        self.csa = attention(self.side**2, csa_heads, "csa_heads")
        self.ssa = attention(TRUNK_CHANNELS, ssa_heads, "ssa_heads")
        if self.gated:
            self.channel_gate = ChannelGate(TRUNK_CHANNELS)
            self.position_gate = PositionGate()
        self.trunk = resnet18_trunk(trunk_weights)
        self.hidden = nn.Linear(TRUNK_CHANNELS, PPS_DIM)
        self.head_dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(PPS_DIM, n_classes)

    def feature_maps(self, normalised: Tensor) -> Tensor:
        """Run the ResNet18 trunk."""
        return self.trunk(normalised)

    def pool(self, maps: Tensor) -> Tensor:
        """Attend over channels, then positions, then take the maximum over positions: (B, 512)."""
        channels = maps.flatten(2)
        if self.csa is not None:
            channels = self.csa(channels)
        if self.gated:
            channels = self.channel_gate(channels)
        if self.ssa is None:
            return channels.amax(dim=2)
        positions = self.ssa(self.to_positions(channels))
        if self.gated:
            positions = self.position_gate(positions, self.side)
        return positions.amax(dim=1)

    def to_positions(self, channels: Tensor) -> Tensor:
        """Turn channel tokens (B, 512, P) into position tokens (B, P, 512), in the layout of this module."""
        batch, count, width = channels.shape
        if self.layout == "reshape":
            return channels.reshape(batch, width, count)
        return channels.transpose(1, 2)

    def embed(self, pooled: Tensor) -> Tensor:
        """Give the PPS: first head layer after ReLU, before its dropout."""
        return self.hidden(pooled).relu()

    def classify(self, embedding: Tensor) -> Tensor:
        """Give the logits of a PPS."""
        return self.classifier(self.head_dropout(embedding))
