"""Clinical items as a network takes them: missing ones imputed, all standardised."""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hccfeat.errors import ConfigError


class ItemScaler(nn.Module):
    """Median imputation, then z-scores (P2 reading 19); what it learns lies in buffers, so in the weights file too.

    An item that is constant among the patients it learned from, or missing in all of them, is 0 for everyone.

    Parameters
    ----------
    items : int
        Number of items, C.
    """

    patients: Tensor
    median: Tensor
    mean: Tensor
    sd: Tensor

    def __init__(self, items: int) -> None:
        super().__init__()
        self.register_buffer("patients", torch.zeros((), dtype=torch.int64))
        self.register_buffer("median", torch.zeros(items))
        self.register_buffer("mean", torch.zeros(items))
        self.register_buffer("sd", torch.zeros(items))

    def fit(self, matrix: NDArray[np.float64]) -> Self:
        """Learn from the training patients.

        Parameters
        ----------
        matrix : ndarray of float64, shape (n, C)
            Items as recorded, NaN where missing.

        Raises
        ------
        ConfigError
            If there is no row, the items are not C, or a value is infinite.
        """
        rows = np.asarray(matrix, np.float64)
        if rows.ndim != 2 or not len(rows) or rows.shape[1] != len(self.median):
            raise ConfigError(
                "clinical items",
                f"have shape {rows.shape}, not (patients, {len(self.median)})",
                "Give such a matrix.",
            )
        if np.isinf(rows).any():
            raise ConfigError("clinical items", "are infinite in places", "Leave such values out.")
        known = ~np.isnan(rows)
        median = np.array(
            [
                np.median(column[there]) if there.any() else 0.0
                for column, there in zip(rows.T, known.T, strict=True)
            ]
        )
        filled = np.where(known, rows, median)
        constant = filled.max(axis=0) == filled.min(axis=0)
        self.patients.fill_(len(rows))
        for buffer, values in (
            (self.median, median),
            (self.mean, filled.mean(axis=0)),
            (self.sd, np.where(constant, 0.0, filled.std(axis=0))),
        ):
            buffer.copy_(torch.from_numpy(values))
        return self

    def forward(self, raw: Tensor) -> Tensor:
        """Impute and standardise raw items (B, C), NaN where missing, to float32 (B, C).

        Raises
        ------
        ConfigError
            If nothing was learned yet.
        """
        if not int(self.patients):
            raise ConfigError(
                "clinical items", "have no scale yet", "Call the scaler's fit with the training patients' items."
            )
        raw = raw.float()
        filled = torch.where(raw.isnan(), self.median, raw)
        scaled = (filled - self.mean) / torch.where(self.sd > 0, self.sd, 1.0)
        return scaled * (self.sd > 0)
