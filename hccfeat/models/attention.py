"""Self-attention over tokens (P1, the CSA and SSA modules), with or without the softmax that normalises it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from hccfeat.errors import ConfigError


class TokenAttention(nn.Module):
    """Multi-head self-attention, residual, LayerNorm, and a softmax across the tokens.

    For tokens X (B, T, E) the result is ``softmax_T(LayerNorm_E(X + Attention(X)))``: the LayerNorm runs over
    the embedding axis and the softmax over the token axis, so that each of the E columns sums to 1 over the T
    tokens (P1 reading 2). There is no positional encoding: permuting the tokens permutes the result.

    Parameters
    ----------
    width : int
        E, the embedding length of a token.
    heads : int
        Number of heads; must divide ``width``.
    dropout, attention_dropout : float
        Of the projection, and of the attention weights.
    layer_norm_eps : float
        Epsilon of the LayerNorm.
    softmax : bool
        Whether the softmax across the tokens is applied; without it the result is that of the LayerNorm. With it
        the LayerNorm's bias, one number per column, cancels: it is kept because P1's sizes count it.
    option : str
        Configuration key of ``heads``, named in the error.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        dropout: float,
        attention_dropout: float,
        layer_norm_eps: float,
        softmax: bool = True,
        option: str = "heads",
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            divisors = [number for number in range(1, width + 1) if width % number == 0]
            raise ConfigError(
                option,
                f"is {heads}, which does not divide the token width {width}",
                f"Choose one of {', '.join(map(str, divisors))}, or another patch size.",
            )
        self.heads = heads
        self.softmax = softmax
        self.attention_dropout = attention_dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.projection_dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=layer_norm_eps)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, T, E) to (B, T, E); with ``softmax`` the columns sum to 1 over T."""
        normed = self.norm(tokens + self.attend(tokens))
        return normed.softmax(dim=1) if self.softmax else normed

    def attend(self, tokens: Tensor) -> Tensor:
        """Plain multi-head self-attention with biased projections, scores scaled by (E / heads) ** -0.5."""
        query, key, value = self._heads(tokens)
        dropout = self.attention_dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.projection_dropout(self.projection(mixed.transpose(1, 2).reshape(tokens.shape)))

    def attention_weights(self, tokens: Tensor) -> Tensor:
        """Give the attention maps that :meth:`attend` mixes the values with, without dropout.

        Parameters
        ----------
        tokens : Tensor
            (B, T, E), as for :meth:`forward`.

        Returns
        -------
        Tensor
            (B, heads, T, T) float: weight of each token (last axis) for each query token; sums to 1 over the last
            axis. For CSA at 224 px that is 512 x 512 per head, so ask for a few patches at a time.
        """
        query, key, _ = self._heads(tokens)
        return torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5, dim=-1)

    def _heads(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (B, heads, T, E / heads) each."""
        batch, count, width = tokens.shape
        qkv = self.qkv(tokens).view(batch, count, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value
