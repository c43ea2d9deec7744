"""Estimators of scikit-learn's own types."""

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X = np.arange(40.0).reshape(20, 2)


def make():
    return make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0)).fit(X, X[:, 0] > 19)


def same(made, got):
    assert type(got) is type(made)
    np.testing.assert_array_equal(got.predict_proba(X), made.predict_proba(X))
