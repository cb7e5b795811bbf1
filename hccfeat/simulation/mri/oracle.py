"""How well anybody could grade who knew how the simulation works: the ceilings for every model of the MRI exams.

Four kinds of knowledge: the latents themselves; what the image shows before noise of voxels and anatomy; the
generated clinical items with their gaps; image and items together. In each case the grades' exact probabilities
given that knowledge are judged by macro one-versus-one AUC.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from hccfeat.config import GRADES
from hccfeat.simulation.mri.item_models import Graded, Measured
from hccfeat.simulation.mri.items import Items, draw_items
from hccfeat.simulation.mri.latents import Latents, draw_latents
from hccfeat.simulation.mri.parameters import FEATURES, MriParameters, stream

_POPULATION, _POPULATION_SEED = 6_000, 20231117
_NODES = np.linspace(-4.0, 4.0, 33)
_PRIOR = norm.logpdf(_NODES)


def ceilings(parameters: MriParameters, latents: Latents, items: Items) -> dict[str, Any]:
    """Macro one-versus-one AUC of the best possible grading, by what it knows.

    Returns
    -------
    dict
        ``patients``, ``grades`` (counts) and ``auc_latents`` (S, I and K), ``auc_image``, ``auc_image_pre``,
        ``auc_image_hbp``, ``auc_items``, ``auc_image_and_items``; None where a grade has nobody.
    """
    model = parameters.latents
    known = model.weight_s * latents.s + model.weight_i * latents.i + model.weight_k * latents.k
    density = {name: _posterior(parameters, items, name) for name in ("s", "k")}
    figures: dict[str, Any] = {
        "patients": len(latents),
        "grades": np.bincount(latents.grade, minlength=len(GRADES)).tolist(),
        "auc_latents": _auc(latents, _shares(parameters, known, np.full(len(latents), model.noise))),
        "auc_image": _auc(latents, _given_image(parameters, latents, FEATURES)),
    }
    for phase in ("pre", "hbp"):
        shown = tuple(name for name in FEATURES if parameters.image.features[name].phase == phase)
        figures[f"auc_image_{phase}"] = _auc(latents, _given_image(parameters, latents, shown))
    figures["auc_items"] = _auc(latents, _given_items(parameters, density))
    figures["auc_image_and_items"] = _auc(latents, _given_both(parameters, latents, density))
    return figures


def population_ceilings(parameters: MriParameters) -> dict[str, Any]:
    """:func:`ceilings` over 6,000 patients (fixed seed)."""
    a = stream(_POPULATION_SEED).standard_normal(_POPULATION)
    latents = draw_latents(parameters, _POPULATION_SEED, a)
    return ceilings(parameters, latents, draw_items(parameters, latents, _POPULATION_SEED))


def _cuts(parameters: MriParameters) -> NDArray[np.float64]:
    """Scores at which the grades of a large cohort change."""
    model = parameters.latents
    total = np.sqrt(model.weight_s**2 + model.weight_i**2 + model.weight_k**2 + model.noise**2)
    return total * norm.ppf(np.cumsum(model.grades)[:-1] / sum(model.grades))


def _shares(parameters: MriParameters, mean: NDArray[np.float64], sd: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(grade) where the score is normal with these moments, (n, 3)."""
    below = norm.cdf((_cuts(parameters)[None] - mean[:, None]) / sd[:, None])
    return np.diff(below, prepend=0.0, append=1.0)


def _given_image(parameters: MriParameters, latents: Latents, shown: tuple[str, ...]) -> NDArray[np.float64]:
    """P(grade | the signals of these features), by the rule of joint normal variables."""
    mean, cov = _image_moments(parameters, shown)
    weights = np.array([parameters.latents.weight_i, parameters.latents.weight_s])
    signals = latents.signals[:, [FEATURES.index(name) for name in shown]]
    rest = parameters.latents.weight_k**2 + parameters.latents.noise**2
    sd = np.sqrt(weights @ cov @ weights + rest)
    return _shares(parameters, signals @ (mean.T @ weights), np.full(len(latents), sd))


def _image_moments(
    parameters: MriParameters, shown: tuple[str, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix B (2, features) with E[(I, S) | signals] = B signals, and the covariance of (I, S) given them."""
    image = parameters.image
    loading = np.array([image.image_i, image.image_s])[:, None] * np.ones(len(shown))
    own = np.diag([image.features[name].noise ** 2 for name in shown])
    gain = loading @ np.linalg.inv(loading.T @ loading + own)
    return gain, np.eye(2) - gain @ loading.T


def _posterior(parameters: MriParameters, items: Items, latent: str) -> NDArray[np.float64]:
    """P(latent at the nodes | the items that load on it and are not missing), (n, nodes)."""
    n = len(next(iter(items.complete.values())))
    log = np.tile(_PRIOR, (n, 1))
    for name, item in parameters.items.items():
        if isinstance(item, Measured | Graded) and (loading := getattr(item, latent)) != 0:
            sd = np.sqrt(1 - loading**2)
            if isinstance(item, Measured):
                told = norm.logpdf(items.z[name][:, None], loading * _NODES, sd)
            else:
                edges = np.concatenate([[-np.inf], norm.ppf(item.cuts), [np.inf]])
                below = norm.cdf((edges[:, None] - loading * _NODES) / sd)
                level = (items.complete[name] - item.first).astype(np.int64)
                told = np.log(np.maximum(np.diff(below, axis=0), 1e-300))[level]
            log += np.where(np.isnan(items.shown[name])[:, None], 0.0, told)
    density = np.exp(log - log.max(axis=1, keepdims=True))
    return density / density.sum(axis=1, keepdims=True)


def _given_items(parameters: MriParameters, density: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    model = parameters.latents
    sd = np.hypot(model.weight_i, model.noise)
    known = model.weight_s * _NODES[:, None] + model.weight_k * _NODES
    below = [
        np.einsum("na,ab,nb->n", density["s"], norm.cdf((cut - known) / sd), density["k"], optimize=True)
        for cut in _cuts(parameters)
    ]
    return np.diff(np.column_stack(below), axis=1, prepend=0.0, append=1.0)


def _given_both(
    parameters: MriParameters, latents: Latents, density: dict[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """P(grade | signals and items): S on its nodes, I given S and the signals normal, K by its two moments."""
    model, image = parameters.latents, parameters.image
    precision = np.array([image.features[name].noise ** -2.0 for name in FEATURES])
    pooled, noise = latents.signals @ precision / precision.sum(), 1 / precision.sum()
    spread = image.image_i**2 + noise
    shown = norm.logpdf(pooled[:, None], image.image_s * _NODES, np.sqrt(spread))
    log = np.log(np.maximum(density["s"], 1e-300)) + shown
    on_s = np.exp(log - log.max(axis=1, keepdims=True))
    on_s /= on_s.sum(axis=1, keepdims=True)
    i_mean = image.image_i / spread * (pooled[:, None] - image.image_s * _NODES)
    k_mean = density["k"] @ _NODES
    k_var = density["k"] @ _NODES**2 - k_mean**2
    mean = model.weight_s * _NODES + model.weight_i * i_mean + model.weight_k * k_mean[:, None]
    var = model.weight_i**2 * noise / spread + model.weight_k**2 * k_var + model.noise**2
    below = [(on_s * norm.cdf((cut - mean) / np.sqrt(var)[:, None])).sum(axis=1) for cut in _cuts(parameters)]
    return np.diff(np.column_stack(below), axis=1, prepend=0.0, append=1.0)


def _auc(latents: Latents, probabilities: NDArray[np.float64]) -> float | None:
    if len(np.unique(latents.grade)) < len(GRADES):
        return None
    total = np.clip(probabilities, 0, None)
    total = total / total.sum(axis=1, keepdims=True)
    return round(float(roc_auc_score(latents.grade, total, multi_class="ovo", average="macro")), 4)
