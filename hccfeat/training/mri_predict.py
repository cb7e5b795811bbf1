"""Grades and embeddings of exams from a trained network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hccfeat.errors import InputError, StoreError
from hccfeat.models.mri_base import MriNetwork
from hccfeat.models.mri_registry import create_mri
from hccfeat.models.weights import load_weights, read_metadata
from hccfeat.training.mri_data import Exam, ExamBatches
from hccfeat.training.mri_fit import KIND
from hccfeat.training.mri_learner import run_network


@dataclass(frozen=True, eq=False)
class MriPrediction:
    """What a network says of n exams, in their order.

    Attributes
    ----------
    probabilities : ndarray of float64, shape (n, 3)
        Of the grades in the order of ``GRADES``; rows sum to 1.
    embedding : ndarray of float32, shape (n, E)
        What the head is given; of the student the vector of the feature set.
    streams : ndarray of float32, shape (n, S, D)
        Z of each phase of the network, before the cross attention.
    """

    probabilities: NDArray[np.float64]
    embedding: NDArray[np.float32]
    streams: NDArray[np.float32]


def load_mri(weights: Path) -> nn.Module:
    """Make the network of a file of :func:`hccfeat.training.mri_fit.train_family`, in evaluation mode.

    Raises
    ------
    StoreError
        If the file is missing, damaged or holds something else.
    """
    about = read_metadata(weights)
    if about.get("kind") != KIND:
        raise StoreError(str(weights), "holds no network of MRI exams", "Give a file that was trained on MRI.")
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = create_mri(about["network"], **about["options"])
    load_weights(weights, network)
    return network.eval()


def predict_mri(
    network: nn.Module, exams: Sequence[Exam], *, device: str | torch.device = "cpu", batch_size: int = 16
) -> MriPrediction:
    """Judge exams in evaluation mode, in float32, reading the volumes of one batch at a time.

    Parameters
    ----------
    network : nn.Module
        Of :func:`load_mri`; moved to ``device`` and put into evaluation mode.
    exams : sequence of Exam
        At least one; grades are not looked at. A teacher needs their clinical items, no other network reads them.
    device : str or torch.device
        Where to compute.
    batch_size : int
        Exams per forward pass.

    Raises
    ------
    InputError
        If there is no exam, or an exam lacks the items that a teacher needs.
    VolumeError
        If a volume cannot be read, or the exams differ in shape.
    """
    if not exams:
        raise InputError("prediction from MRI", "got no exams", "Give at least one.")
    target = torch.device(device)
    network.to(target).eval()
    batches = ExamBatches(exams, items=not isinstance(network, MriNetwork))
    parts = []
    with torch.inference_mode():
        for start in range(0, len(exams), batch_size):
            batch = batches[range(start, min(start + batch_size, len(exams)))]
            output = run_network(network, batch.to(target))
            probabilities = output.logits.double().softmax(dim=1)
            parts.append([part.cpu().numpy() for part in (probabilities, output.embedding, output.streams)])
    return MriPrediction(*(np.concatenate(column) for column in zip(*parts, strict=True)))
