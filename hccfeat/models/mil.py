"""Attention-based multiple-instance learning: a bag of patch vectors to one logit (Ilse et al. 2018)."""

import torch
from torch import Tensor, nn


class GatedAttentionMil(nn.Module):
    """Gated attention pooling: each patch is embedded, weighed, and the weighted mean is classified.

    With h_k the embedding of patch k, its weight is ``softmax_k(w . (tanh(V h_k) * sigmoid(U h_k)))`` (their
    equation 9); the weights of a bag sum to 1, and the order of its patches does not matter.

    Parameters
    ----------
    inputs : int
        Length of a patch vector.
    hidden, attention : int
        Lengths of the embedding, and of the space in which it is weighed.
    dropout : float
        On the embedding.
    """

    def __init__(self, inputs: int, hidden: int = 64, attention: int = 32, dropout: float = 0.25) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout))
        self.value = nn.Linear(hidden, attention)
        self.gate = nn.Linear(hidden, attention)
        self.weigh = nn.Linear(attention, 1)
        self.classify = nn.Linear(hidden, 1)

    def forward(self, bags: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Classify padded bags.

        Parameters
        ----------
        bags : Tensor
            (B, K, inputs) float.
        present : Tensor
            (B, K) bool, false where a row is padding; true at least once in each bag.

        Returns
        -------
        (Tensor, Tensor)
            Logits (B,), and the weights (B, K), which sum to 1 over a bag and are 0 at padding.
        """
        embedded = self.embed(bags)
        gated = torch.tanh(self.value(embedded)) * torch.sigmoid(self.gate(embedded))
        scores = self.weigh(gated).squeeze(-1).masked_fill(~present, float("-inf"))
        weights = scores.softmax(dim=1)
        pooled = (weights.unsqueeze(-1) * embedded).sum(dim=1)
        return self.classify(pooled).squeeze(-1), weights
