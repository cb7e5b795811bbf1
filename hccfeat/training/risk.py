"""Image-level numbers to patient-level risk: patch, then image, then patient means (P1 reading 36)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import InputError
from hccfeat.models import Encoder


def recurrence_probabilities(encoder: Encoder, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Recurrence probability of stored patch embeddings, without their pixels.

    Parameters
    ----------
    encoder : Encoder
        The encoder that made the vectors; put into evaluation mode.
    vectors : float32, (N, D)
        Patch embeddings.

    Returns
    -------
    float32, (N,)
        Softmax probability of class 1.
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    with torch.inference_mode():
        logits = encoder.classify(torch.from_numpy(np.array(vectors, dtype=np.float32)).to(device))
        return logits.softmax(dim=1)[:, 1].cpu().numpy()


def image_drs(encoder: Encoder, vectors: NDArray[np.float32]) -> float | None:
    """Deep risk score of one image: the mean patch probability; None without patches."""
    if len(vectors) == 0:
        return None
    return float(recurrence_probabilities(encoder, vectors).mean(dtype=np.float64))


def mean_by_patient(patient_ids: Sequence[str], values: ArrayLike) -> dict[str, float]:
    """Average image-level values within each patient.

    Parameters
    ----------
    patient_ids : sequence of str, (n,)
        Patient of each image.
    values : array of float, (n,)
        One value per image.

    Returns
    -------
    dict
        Patient to mean, in sorted order.

    Raises
    ------
    InputError
        If the lengths differ.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (len(patient_ids),):
        raise InputError(
            "image values", f"have shape {numbers.shape} for {len(patient_ids)} images", "Give one value per image."
        )
    groups: dict[str, list[float]] = {}
    for patient, number in zip(patient_ids, numbers, strict=True):
        groups.setdefault(patient, []).append(float(number))
    return {patient: float(np.mean(group)) for patient, group in sorted(groups.items())}
