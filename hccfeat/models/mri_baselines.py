"""The five comparators of P2's Table 1, written anew from what their papers describe.

Each is built from the branch that the student has, so that the networks differ in how they join the phases and not
in their width; all see both phases and no clinical item. What a paper leaves open, or does for other data than two
phases of a liver, is settled in the docstring of its class.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hccfeat.models.mri_base import PHASES, MriNetwork, MriOutput, phases_of
from hccfeat.models.mri_blocks import MriBranch, two_layer_head


class TwoBranches(MriNetwork):
    """A branch for each phase; subclasses join their streams.

    Parameters
    ----------
    channels, stream_dim
        See :class:`~hccfeat.models.mri_blocks.MriBranch`.
    hidden : int
        Width of two-layer heads.
    classes : int
        Number of logits.
    embedding_dim : int
        Length of what the head is given.
    """

    def __init__(
        self, *, channels: Sequence[int], stream_dim: int, hidden: int, classes: int, embedding_dim: int
    ) -> None:
        super().__init__(phases=PHASES, embedding_dim=embedding_dim)
        self.branches = nn.ModuleList(MriBranch(channels=channels, stream_dim=stream_dim) for _ in PHASES)

    def forward(self, volumes: Tensor) -> MriOutput:
        """Run the network on volumes (B, 2, D, H, W)."""
        pairs = zip(self.branches, phases_of(volumes, PHASES), strict=True)
        streams = torch.stack([branch(volume) for branch, volume in pairs], dim=1)
        with torch.autocast(device_type=volumes.device.type, enabled=False):
            return self.join(streams)

    def join(self, streams: Tensor) -> MriOutput:
        """Judge streams (B, 2, D), float32."""
        raise NotImplementedError


class Concat(TwoBranches):
    """One 3-D CNN per modality, features concatenated, fully connected layers.

    D. Nie, J. Lu, H. Zhang et al., Multi-channel 3D deep feature learning for survival time prediction of brain
    tumor patients using multi-modal neuroimages, Scientific Reports 9:1103 (2019). Taken: a network for each
    modality, their high-level features side by side, and fully connected layers trained end to end. Left out: the
    support vector machine that there follows on the learned features, and demographic features.
    """

    def __init__(self, *, channels: Sequence[int], stream_dim: int, hidden: int, classes: int) -> None:
        width = len(PHASES) * stream_dim
        super().__init__(
            channels=channels, stream_dim=stream_dim, hidden=hidden, classes=classes, embedding_dim=width
        )
        self.head = two_layer_head(width, hidden, classes)

    def join(self, streams: Tensor) -> MriOutput:
        """Concatenate, two layers."""
        embedding = streams.flatten(1)
        return MriOutput(self.head(embedding), embedding, streams)


class Cnn3d(MriNetwork):
    """One 3-D CNN that takes the phases as channels of its input.

    Y.-Q. Jiang, S.-E. Cao, S. Cao et al., Preoperative identification of microvascular invasion in hepatocellular
    carcinoma by XGBoost and deep learning, Journal of Cancer Research and Clinical Oncology 147 (2021). Taken: a
    single 3-D CNN over the volume round the lesion; of several phases, early fusion as channels. There it is CT.
    Unregistered phases reach the first convolution as they lie.
    """

    def __init__(self, *, channels: Sequence[int], stream_dim: int, hidden: int, classes: int) -> None:
        super().__init__(phases=PHASES, embedding_dim=stream_dim)
        self.branch = MriBranch(channels=channels, stream_dim=stream_dim, inputs=len(PHASES))
        self.head = two_layer_head(stream_dim, hidden, classes)

    def forward(self, volumes: Tensor) -> MriOutput:
        """Run the network on volumes (B, 2, D, H, W); its one stream is of both phases."""
        stream = self.branch(torch.cat(phases_of(volumes, PHASES), dim=1))
        with torch.autocast(device_type=volumes.device.type, enabled=False):
            return MriOutput(self.head(stream), stream, stream.unsqueeze(1))


class CnnLstm(TwoBranches):
    """A 3-D CNN per phase, an LSTM over the sequence of phases.

    S. Men, H. Ju, L. Zhang, W. Zhou, Prediction of microvascular invasion of hepatocellular carcinoma with
    contrast-enhanced MR by 3D CNN and LSTM, IEEE ISBI (2019). Taken: deep features of each phase, the phases in the
    order of their acquisition (before contrast, then hepatobiliary), one layer of LSTM, its last state to the
    classifier. The state is as long as Z, which the paper leaves open.
    """

    def __init__(self, *, channels: Sequence[int], stream_dim: int, hidden: int, classes: int) -> None:
        super().__init__(
            channels=channels, stream_dim=stream_dim, hidden=hidden, classes=classes, embedding_dim=stream_dim
        )
        self.sequence = nn.LSTM(stream_dim, stream_dim, batch_first=True)
        self.head = nn.Linear(stream_dim, classes)

    def join(self, streams: Tensor) -> MriOutput:
        """Last state of the LSTM, one layer."""
        state = self.sequence(streams)[0][:, -1]
        return MriOutput(self.head(state), state, streams)


class CompactBilinear(nn.Module):
    """Bilinear pooling of two vectors, as the circular convolution of their count sketches.

    Y. Gao, O. Beijbom, N. Zhang, T. Darrell, Compact bilinear pooling, CVPR (2016), with its signed square root and
    normalisation, here to a root mean square of 1. The sketches are drawn once and stored with the weights.

    Parameters
    ----------
    inputs, outputs : int
        Lengths of each vector and of the result.
    """

    sketches: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        places = torch.randint(outputs, (2, inputs, 1))
        signs = torch.randint(2, (2, inputs, 1)).float() * 2 - 1
        self.register_buffer("sketches", torch.zeros(2, inputs, outputs).scatter(2, places, signs))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Pool x and y (B, inputs), float32, to (B, outputs)."""
        length = self.sketches.shape[2]
        spectra = torch.fft.rfft(x @ self.sketches[0]) * torch.fft.rfft(y @ self.sketches[1])
        pooled = torch.fft.irfft(spectra, n=length)
        rooted = pooled.sign() * (pooled.abs() + 1e-8).sqrt()
        return nn.functional.normalize(rooted, dim=1) * length**0.5


class M2Net(TwoBranches):
    """Modality-specific networks, and a shared one that pools their features bilinearly; every head has a say.

    T. Zhou, H. Fu, Y. Zhang et al., M2Net: multi-modal multi-channel network for overall survival time prediction
    of brain tumor patients, MICCAI (2020). Taken: a network and a head for each modality, a shared network on the
    bilinear pooling of their features, and a prediction from all outputs, fused channel by channel: each head's
    logits are a channel with a learned weight, equal at the start, the weights positive with sum 1.
    ``stage_logits`` are the heads of single phases, which have a loss of their own. Left out: the projection of a
    volume onto 2-D images of three directions, which served networks pretrained on photographs; the branches here
    are 3-D.
    """

    def __init__(self, *, channels: Sequence[int], stream_dim: int, hidden: int, classes: int) -> None:
        super().__init__(
            channels=channels,
            stream_dim=stream_dim,
            hidden=hidden,
            classes=classes,
            embedding_dim=(len(PHASES) + 1) * stream_dim,
        )
        self.specific = nn.ModuleList(nn.Linear(stream_dim, classes) for _ in PHASES)
        self.pooling = CompactBilinear(stream_dim, stream_dim)
        self.shared = two_layer_head(stream_dim, hidden, classes)
        self.fusion = nn.Parameter(torch.zeros(len(PHASES) + 1))

    def join(self, streams: Tensor) -> MriOutput:
        """Heads of the phases and of their bilinear pooling, weighed."""
        pooled = self.pooling(streams[:, 0], streams[:, 1])
        single = torch.stack([head(streams[:, place]) for place, head in enumerate(self.specific)], dim=1)
        channels = torch.cat([single, self.shared(pooled).unsqueeze(1)], dim=1)
        logits = (channels * self.fusion.softmax(dim=0)[:, None]).sum(dim=1)
        return MriOutput(logits, torch.cat([streams.flatten(1), pooled], dim=1), streams, single)


class ConcatTwoStage(TwoBranches):
    """Stage 1 learns each modality by itself, stage 2 their concatenation.

    T. Zhou, K.-H. Thung, X. Zhu, D. Shen, Effective feature learning and fusion of multimodality data using
    stage-wise deep neural network for dementia diagnosis, Human Brain Mapping 40:1001 (2019). Taken: a
    representation of each modality under a head of its own (``stage_logits``), then joint layers on the
    representations. Of two modalities there is one pair, so that the paper's second and third stage are one.
    """

    def __init__(self, *, channels: Sequence[int], stream_dim: int, hidden: int, classes: int) -> None:
        width = len(PHASES) * stream_dim
        super().__init__(
            channels=channels, stream_dim=stream_dim, hidden=hidden, classes=classes, embedding_dim=width
        )
        self.single = nn.ModuleList(nn.Linear(stream_dim, classes) for _ in PHASES)
        self.head = two_layer_head(width, hidden, classes)

    def join(self, streams: Tensor) -> MriOutput:
        """Heads of the phases, and two layers on the concatenation."""
        single = torch.stack([head(streams[:, place]) for place, head in enumerate(self.single)], dim=1)
        embedding = streams.flatten(1)
        return MriOutput(self.head(embedding), embedding, streams, single)
