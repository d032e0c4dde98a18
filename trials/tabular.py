"""Classifiers of scikit-learn on the breast cancer data: tens of milliseconds a trial.

Which parameters there are depends on the model: see `when:` in `search_spaces/tabular.yaml`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import sweep


@cache
def data() -> tuple[np.ndarray, np.ndarray]:
    """Features (569, 30) and labels (569,); read once in each worker."""
    return load_breast_cancer(return_X_y=True)


def make_model(params: sweep.Params, seed: int) -> ClassifierMixin:
    match params.model:
        case "logistic":
            return make_pipeline(StandardScaler(), LogisticRegression(C=params.C, max_iter=500))
        case "svm":
            gamma = params.gamma if params.kernel == "rbf" else "scale"
            return make_pipeline(
                StandardScaler(), SVC(C=params.C, kernel=params.kernel, gamma=gamma)
            )
        case _:
            return RandomForestClassifier(
                n_estimators=params.trees, max_depth=params.depth, random_state=seed
            )


def evaluate(trial: sweep.Trial) -> dict[str, float]:
    features, labels = data()
    scores = cross_val_score(make_model(trial.params, trial.seed), features, labels, cv=3)
    return {"accuracy": float(scores.mean()), "spread": float(scores.std())}
