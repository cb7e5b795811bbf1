"""Cross attention between the two phases (P2 equations 2 and 3)."""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from hccfeat.errors import ConfigError


class _Projected(NamedTuple):
    query: Tensor
    key: Tensor
    value: Tensor


class CrossAttention(nn.Module):
    """Each phase asks itself and the other one.

    ``X_hat = V_x (Q_x K_x^T) + V_y (Q_x K_y^T)`` and ``Y_hat = V_x (Q_y K_x^T) + V_y (Q_y K_y^T)``, where Q, K and
    V are linear layers of their own for each phase. Of vectors Z of length d, Q and K are columns, so that the
    score map is d x d, and V is a row (P2 reading 1, ``vector`` mode). Of maps of N voxels and C channels the score
    map is N x N (``map`` mode).

    With the softmax, a query's scores, times width ** -0.5, become weights that sum to 1 over the keys, and its
    result is their mixture of the keys' values, as in the attentions that P2 cites (P2 reading 2). Without it the
    product is the printed one, from left to right: of vectors that is (V . Q) K.

    Parameters
    ----------
    width : int
        d or C.
    softmax, residual : bool
        Both false give the equations as printed; with the residual the results are X + X_hat and Y + Y_hat (P2
        reading 4).
    """

    def __init__(self, width: int, *, softmax: bool = True, residual: bool = True) -> None:
        super().__init__()
        self.scale = width**-0.5
        self.softmax = softmax
        self.residual = residual
        # Q, K and V of a phase as one layer; by their count these are six layers width -> width
        self.qkv_x = nn.Linear(width, 3 * width)
        self.qkv_y = nn.Linear(width, 3 * width)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Parameters
        ----------
        x, y : Tensor
            Of the two phases, float32: vectors (B, d), or maps as tokens (B, N, C).

        Returns
        -------
        tuple of Tensor
            X_hat and Y_hat, or with the residual X + X_hat and Y + Y_hat, in the shape of x and y.

        Raises
        ------
        ConfigError
            If the phases differ in shape.
        """
        if x.shape != y.shape:
            raise ConfigError(
                "cross attention", f"is given {tuple(x.shape)} and {tuple(y.shape)}", "Give phases of one shape."
            )
        sources = self._project(self.qkv_x, x), self._project(self.qkv_y, y)
        results = []
        for asking, own in zip(sources, (x, y), strict=True):
            mixed = self._mix(asking.query, sources[0]) + self._mix(asking.query, sources[1])
            mixed = mixed.view_as(own)
            results.append(own + mixed if self.residual else mixed)
        return results[0], results[1]

    def _project(self, layer: nn.Linear, tokens: Tensor) -> _Projected:
        """Q, K, V as tokens (B, T, E): a vector is d tokens of width 1, a map N tokens of width C."""
        parts = layer(tokens).chunk(3, dim=-1)
        return _Projected(*(part.unsqueeze(-1) if part.ndim == 2 else part for part in parts))

    def _mix(self, query: Tensor, asked: _Projected) -> Tensor:
        """One term of the equations, (B, T, E)."""
        if self.softmax:
            return functional.scaled_dot_product_attention(query, asked.key, asked.value, scale=self.scale)
        # (V Q) K^T instead of V (Q K^T): the same numbers without the T x T map
        return asked.key @ (query.mT @ asked.value)
