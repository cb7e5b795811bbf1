"""Models of the clinical items alone, which the paper lacks: what a hospital has without MRI."""

from collections.abc import Sequence

import numpy as np
import xgboost
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hccfeat.config import GRADES
from hccfeat.reproduction.mvi.presets import ClinicalModel
from hccfeat.training.mri_data import Exam, item_rows

ROUNDS = 100
SETTINGS = {
    "objective": "multi:softprob", "num_class": len(GRADES), "max_depth": 3, "eta": 0.1, "tree_method": "hist",
    "nthread": 1,
}  # fmt: skip
ABOUT: dict[ClinicalModel, str] = {
    "clinical_logistic": "multinomial logistic regression (L2, C = 1) on the standardised items, medians of the "
    "training patients where one is missing",
    "clinical_xgboost": f"xgboost, {ROUNDS} trees per grade of depth {SETTINGS['max_depth']}, eta "
    f"{SETTINGS['eta']}, missing items as missing",
}


def clinical_probabilities(
    model: ClinicalModel, train: Sequence[Exam], judged: Sequence[Exam], seed: int
) -> NDArray[np.float64]:
    """Fit a model on the items of training patients and judge others with it.

    Medians, means and scales are the training patients'.

    Parameters
    ----------
    model : {"clinical_logistic", "clinical_xgboost"}
        Which.
    train : sequence of Exam
        With a label and items, every grade among them.
    judged : sequence of Exam
        With items.
    seed : int
        Of xgboost.

    Returns
    -------
    ndarray of float64 (judged, 3)
        Probability of each grade.

    Raises
    ------
    InputError
        If an exam has no items.
    """
    x, y = item_rows(train), np.array([exam.label for exam in train], dtype=np.int64)
    if model == "clinical_xgboost":
        given = xgboost.DMatrix(x, label=y, nthread=1)
        fitted = xgboost.train({**SETTINGS, "seed": seed}, given, num_boost_round=ROUNDS)
        return fitted.predict(xgboost.DMatrix(item_rows(judged), nthread=1)).astype(np.float64)
    pipeline = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=1.0, max_iter=1000),
    ).fit(x, y)
    return np.asarray(pipeline.predict_proba(item_rows(judged)), dtype=np.float64)
