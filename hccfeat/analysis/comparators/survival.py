"""Survival comparators: Cox, Coxnet, a random survival forest, and boosted trees on Cox's partial likelihood.

Each learns from times and events cut at the horizon, of all training patients with a follow-up time, those censored
before the horizon too.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray
from sksurv.ensemble import RandomSurvivalForest
from sksurv.linear_model import CoxnetSurvivalAnalysis
from sksurv.util import Surv

from hccfeat.analysis.comparators.hazard import RiskOf, survival_model, through_baseline
from hccfeat.analysis.comparators.inputs import Training, covariates, inner_folds
from hccfeat.analysis.data import Population
from hccfeat.analysis.models import XGBOOST_SETTINGS, FittedModel
from hccfeat.errors import AnalysisError
from hccfeat.stats.columns import independent_columns
from hccfeat.stats.coxmodel import SeparationError, cox_model
from hccfeat.stats.firth import firth_cox
from hccfeat.stats.risksets import PartialLikelihood, RiskSets

Floats = NDArray[np.float64]
Settings = Mapping[str, float]
COX, COXNET, FOREST, XGBOOST_COX = "cox_clinical", "coxnet", "survival_forest", "xgboost_cox"
PATH = 20
"""Penalties on the way down from the smallest that leaves no covariate; each fit starts at the one before."""
LEAST = (0.05, 0.1, 0.3)
"""Share of it at which the way ends: the next where a fit so little penalised does not converge."""
WITHOUT_FOLDS = 0.3
"""Share taken where all patients, or all but one, had the event or none had."""


def fit_cox(train: Training, settings: Settings) -> FittedModel:
    """Cox regression on the indicators, with the ties of ``train``.

    Firth's estimate, with Breslow's ties, where the indicators separate the events. Indicators that are linear
    combinations of those before them are left out.
    """
    del settings
    rows, about = covariates(train.patients, images=False)
    x = rows(train.patients)
    kept, left_out = independent_columns(x, [str(column) for column in range(x.shape[1])])
    ties, how = train.ties, f"{train.ties.title()} ties"
    try:
        coefficients = cox_model(train.patients.time, train.events, x[:, kept], ties).coefficients
    except SeparationError:
        fit = firth_cox(train.patients.time, train.events, x[:, kept])
        coefficients, ties = np.array([term.coefficient for term in fit.terms]), "breslow"
        how = "Firth's penalty because the events are separated, Breslow ties"

    def log_hazard(patients: Population) -> Floats:
        return np.asarray(rows(patients)[:, kept] @ coefficients)

    fewer = f", {len(left_out)} collinear left out" if left_out else ""
    description = f"Cox regression ({how}) on {about}{fewer}"
    return survival_model(train, COX, description, log_hazard, through_baseline(train, log_hazard, ties))


def fit_coxnet(train: Training, settings: Settings) -> FittedModel:
    """Cox regression with an elastic net (Simon et al. 2011), Breslow's ties; scikit-survival.

    The penalty is the one with the highest cross-validated partial likelihood (Verweij and van Houwelingen 1993) in
    inner folds of the training patients. ``l1_share`` is the share of the lasso in it.
    """
    rows, about = covariates(train.patients, images=True)
    coefficients, penalty = _penalised(train, rows(train.patients), settings["l1_share"])

    def log_hazard(patients: Population) -> Floats:
        return np.asarray(rows(patients) @ coefficients)

    description = f"Cox regression with an elastic net (scikit-survival, Breslow ties; {penalty}) on {about}"
    return survival_model(train, COXNET, description, log_hazard, through_baseline(train, log_hazard, "breslow"))


def _penalised(train: Training, x: Floats, l1_share: float) -> tuple[Floats, str]:
    """Coefficients (p,) under the penalty chosen, and the penalty in words."""

    def net(part: Training, rows: Floats, **penalties: Any) -> CoxnetSurvivalAnalysis:
        outcome = Surv.from_arrays(part.events, part.ranks)
        return CoxnetSurvivalAnalysis(l1_ratio=l1_share, **penalties).fit(rows, outcome)

    problem: Exception | None = None
    for least in LEAST:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            try:
                whole = net(train, x, n_alphas=PATH, alpha_min_ratio=least)
                gain = np.zeros(len(whole.alphas_))
                for inside in inner_folds(train.events, train.seed):
                    part = train.take(inside)
                    fold = net(part, x[inside], alphas=whole.alphas_).coef_
                    # A path ends where less penalty no longer changes the fit.
                    fold = np.pad(fold, ((0, 0), (0, len(gain) - fold.shape[1])), mode="edge")
                    gain += _likelihoods(train, x @ fold) - _likelihoods(part, x[inside] @ fold)
            except (ArithmeticError, UserWarning) as error:
                problem = error
                continue
        shares = whole.alphas_ / whole.alphas_[0]
        # The first leaves no covariate. Without folds nothing tells the others apart.
        best = 1 + int(np.argmax(gain[1:])) if gain.any() else int(np.argmin(np.abs(shares - WITHOUT_FOLDS)))
        said = f"penalty {shares[best]:.2g} of the smallest that leaves no covariate"
        how = ", by the partial likelihood of inner folds" if gain.any() else ""
        return np.asarray(whole.coef_[:, best]), said + how
    raise AnalysisError("Coxnet", f"was not fitted ({problem})", "Use more patients.")


def _likelihoods(part: Training, log_hazards: Floats) -> Floats:
    """Partial log-likelihood of patients under each of several log hazards (n, k), Breslow's ties."""
    sets, one = RiskSets(part.ranks, part.events, "breslow"), np.ones(1)
    return np.array(
        [PartialLikelihood(sets, values[sets.order, None], one).log_likelihood for values in log_hazards.T]
    )


def fit_forest(train: Training, settings: Settings) -> FittedModel:
    """Random survival forest (Ishwaran et al. 2008); risk is the expected number of events; scikit-survival."""
    rows, about = covariates(train.patients, images=True)
    forest = RandomSurvivalForest(
        int(settings["trees"]),
        min_samples_leaf=int(settings["leaf"]),
        max_features="sqrt",
        n_jobs=1,
        random_state=train.seed,
    ).fit(rows(train.patients), Surv.from_arrays(train.events, train.ranks))

    times = np.unique(train.patients.time)

    def risk(patients: Population) -> Floats:
        return np.asarray(forest.predict(rows(patients)))

    def risk_by(patients: Population, months: Floats) -> Floats:
        curves = forest.predict_survival_function(rows(patients), return_array=True)
        alive = np.column_stack([np.ones(len(curves)), curves])
        return np.asarray(1 - alive[:, np.searchsorted(times, months, side="right")])

    description = f"random survival forest (scikit-survival, log-rank splits, tied events together) on {about}"
    return survival_model(train, FOREST, description, risk, risk_by)


def fit_xgboost_cox(train: Training, settings: Settings) -> FittedModel:
    """Boosted trees on Cox's partial likelihood (xgboost's ``survival:cox``), one thread; missing stays missing.

    Trees follow their own training patients too closely for a baseline hazard: that one, and the slope of the log
    hazard in probabilities, come from inner folds.
    """
    log_hazard, about = _boosted(train, settings)

    def unseen() -> Floats:
        values = np.zeros(len(train.patients))
        for inside in inner_folds(train.events, train.seed):
            values[~inside] = _boosted(train.take(inside), settings)[0](train.patients.take(~inside))
        return values

    description = (
        "xgboost on Cox's partial likelihood (events at one time in a random order, probabilities calibrated in "
        f"inner folds) on {about}"
    )
    risk_by = through_baseline(train, log_hazard, "breslow", unseen)
    return survival_model(train, XGBOOST_COX, description, log_hazard, risk_by)


def _boosted(train: Training, settings: Settings) -> tuple[RiskOf, str]:
    rows, about = covariates(train.patients, images=True, fill=False)
    chosen = XGBOOST_SETTINGS | {"objective": "survival:cox", "seed": train.seed}
    chosen |= {"max_depth": int(settings["depth"]), "eta": settings["eta"]}
    given = xgboost.DMatrix(rows(train.patients), label=signed_places(train), nthread=1)
    fitted = xgboost.train(chosen, given, num_boost_round=int(settings["trees"]))

    def log_hazard(patients: Population) -> Floats:
        matrix = xgboost.DMatrix(rows(patients), nthread=1)
        return fitted.predict(matrix, output_margin=True).astype(np.float64)

    return log_hazard, about


def signed_places(train: Training) -> Floats:
    """Labels for ``survival:cox`` (n,): each patient's place in time from 1, negative if censored.

    At equal labels xgboost counts for a patient only the events that it happens to sort before him. So
    there are none: events at one time come in a seeded random order, censorings at that time after them.
    """
    shuffled = np.random.default_rng(train.seed).permutation(len(train.patients))
    order = np.lexsort((shuffled, ~train.events, train.patients.time))
    place = np.empty(len(order))
    place[order] = np.arange(1, len(order) + 1)
    return np.where(train.events, place, -place)
