"""PCA and t-SNE of the embeddings of judged patches and images (P1, Fig 2G-H, S6, S7)."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from hccfeat.analysis.guard import assert_unseen
from hccfeat.analysis.judges import UNITS, Bench, Group
from hccfeat.extraction.cells import Cell
from hccfeat.stats.clustered import clustered, judged
from hccfeat.stats.estimate import Estimate
from hccfeat.training.protocol import FINAL

Map = Literal["pca", "tsne"]
Shown = Literal["patch", "image"]
FEWEST = 5
"""Fewer points are not projected."""
PERPLEXITY = 30.0


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of judged patches or images, and whose they are.

    Attributes
    ----------
    vectors : ndarray of float64 (n, d)
        The chosen layer's output, as the encoder gives it.
    probability : ndarray of float64 (n,)
        Predicted probability of recurrence.
    relapsed : ndarray of bool (n,)
        Recurrence status of the patient.
    owners : list of str (n,)
        Patients.
    unit : str
        ``patches`` or ``images``.
    of : int
        Number that the n were drawn from.
    """

    vectors: NDArray[np.float64]
    probability: NDArray[np.float64]
    relapsed: NDArray[np.bool_]
    owners: list[str]
    unit: str
    of: int


@dataclass(frozen=True, eq=False)
class Projection:
    """A map of embeddings in two dimensions.

    Attributes
    ----------
    map : {"pca", "tsne"}
        Method.
    points : ndarray of float64 (n, 2) or None
        None if ``reason`` says why there is none.
    relapsed : ndarray of bool (n,)
        Recurrence status of each point's patient.
    unit : str
        ``patches`` or ``images``.
    of : int
        Number that the points were drawn from.
    patients, events : int
        Patients shown, and those who relapsed.
    explained : tuple of float or None
        Share of the variance of both components (PCA).
    separation : Estimate or None
        AUROC of the first component (PCA), patients resampled.
    reason : str
        Why nothing is shown.
    """

    map: Map
    points: NDArray[np.float64] | None
    relapsed: NDArray[np.bool_]
    unit: str
    of: int
    patients: int
    events: int
    explained: tuple[float, float] | None = None
    separation: Estimate | None = None
    reason: str = ""


def embedded(
    bench: Bench, model: str, subset: str, group: Group, level: Shown, *, limit: int, seed: int
) -> Embedded | str:
    """Embeddings of the images of a group by the encoder of all folds, or why there are none.

    Parameters
    ----------
    bench : Bench
        Encoders and judges.
    model, subset : str
        Which encoder.
    group : {"test", "held_out", "external", "strict"}
        Whose images.
    level : {"patch", "image"}
        What is embedded.
    limit, seed : int
        At most so many are drawn, without replacement.

    Raises
    ------
    LeakageError
        If the encoder has seen one of the patients.
    """
    cell = bench.cell(model, subset, FINAL)
    if isinstance(cell, str):
        return cell
    who = sorted(set(bench.judges.of_group(group, subset)) & set(cell.images["patient_id"]))
    assert_unseen(who, cell.seen, f"patients shown by {model} {subset}")
    vectors, frame = _collected(cell, who, level)
    keep = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:limit])
    shown = frame[keep]
    return Embedded(
        vectors[keep].astype(np.float64),
        shown["probability"].cast(pl.Float64).to_numpy(),
        np.array([bench.judges.relapsed[patient] for patient in shown["patient_id"]], dtype=bool),
        shown["patient_id"].to_list(),
        UNITS[level],
        len(vectors),
    )


def project(found: Embedded, method: Map, *, resamples: int, seed: int) -> Projection:
    """Project embeddings; fitted on what is shown, without the labels.

    PCA is exact; its first component points to where the encoder's probability is higher, so that its AUROC is not
    turned round to look good. t-SNE starts from PCA, is seeded and runs on one thread: equal inputs, equal maps.

    Parameters
    ----------
    found : Embedded
        What is shown.
    method : {"pca", "tsne"}
        The perplexity of t-SNE is 30, and a third of the points where they are fewer than 91.
    resamples, seed : int
        Bootstrap of patients, and start of t-SNE.
    """
    n = len(found.vectors)
    patients = len(set(found.owners))
    events = len({owner for owner, sick in zip(found.owners, found.relapsed, strict=True) if sick})
    nothing = Projection(
        method, None, found.relapsed, found.unit, found.of, patients, events, reason=_hopeless(found)
    )
    if nothing.reason:
        return nothing
    centred = found.vectors - found.vectors.mean(axis=0)
    centred /= centred.std()
    if method == "tsne":
        return replace(nothing, points=_tsne(centred, min(PERPLEXITY, (n - 1) / 3), seed))
    pca = PCA(n_components=2, svd_solver="full")
    points = pca.fit_transform(centred)
    if float(points[:, 0] @ (found.probability - found.probability.mean())) < 0:
        points[:, 0] *= -1
    separation = clustered(
        judged(found.relapsed, points[:, 0], found.owners, found.unit), "auroc", resamples=resamples, seed=seed
    )
    explained = (float(pca.explained_variance_ratio_[0]), float(pca.explained_variance_ratio_[1]))
    return replace(nothing, points=points, explained=explained, separation=separation)


def _hopeless(found: Embedded) -> str:
    n = len(found.vectors)
    if n < FEWEST:
        return f"{n} {found.unit}: fewer than {FEWEST} are not projected"
    if found.vectors.shape[1] < 2:
        return "the embedding has one dimension"
    spread = found.vectors - found.vectors.mean(axis=0)
    if not np.isfinite(spread).all():
        return "the embeddings hold missing or infinite numbers"
    return "" if float(spread.std()) > 1e-12 else f"the embeddings of all {found.unit} are equal"


def _collected(cell: Cell, who: list[str], level: Shown) -> tuple[NDArray[np.float32], pl.DataFrame]:
    mine = pl.col("patient_id").is_in(who)
    if level == "image":
        frame = cell.images.filter(mine)
        dim = frame.schema["vector"].shape[0] if isinstance(frame.schema["vector"], pl.Array) else 0
        return frame["vector"].to_numpy().reshape(frame.height, dim), frame.select("patient_id", "probability")
    frame = cell.patches.filter(mine)
    names = frame["image_id"].unique(maintain_order=True).to_list()
    dim = next((vectors.shape[1] for vectors in cell.patch_vectors.values()), 0)
    parts = [cell.patch_vectors[name] for name in names]
    vectors = np.concatenate(parts) if parts else np.zeros((0, dim), dtype=np.float32)
    return vectors, frame.select("patient_id", "probability")


def _tsne(vectors: NDArray[np.float64], perplexity: float, seed: int) -> NDArray[np.float64]:
    # The gradient is summed over threads: another number of them gives another map.
    with threadpool_limits(limits=1):
        points = TSNE(n_components=2, init="pca", perplexity=perplexity, random_state=seed).fit_transform(vectors)
    return np.asarray(points, dtype=np.float64)
