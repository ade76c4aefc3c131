"""Is a tumour malignant? scikit-learn's breast-cancer data, from a pipeline to what mattered.

Run it with `python examples/diagnosis.py`; it needs scikit-learn, writes nothing and downloads
nothing. It is about tools, and no medical advice.
"""

from __future__ import annotations

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer
from sklearn.inspection import permutation_importance
from sklearn.metrics import brier_score_loss, precision_score, recall_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ranvier.sklearn import NetClassifier

data = load_breast_cancer()
X, y = data.data, data.target_names[data.target]  # "benign" or "malignant"
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)


def network(**settings: object) -> Pipeline:
    """Columns on one scale, then a network; whatever is learned is learned from training rows."""
    net = NetClassifier(module__hidden=(32,), epochs=30, lr=0.005, random_state=0, **settings)
    return make_pipeline(StandardScaler(), net)


# How good is it? Five times trained on four fifths and asked about the rest.
scores = cross_val_score(network(), X_train, y_train, cv=5)
print(f"accuracy in cross-validation: {scores.mean():.3f} +- {scores.std():.3f}")

# Which settings? Names lead through the pipeline to the module.
search = GridSearchCV(
    network(), {"netclassifier__module__hidden": [(8,), (32,)], "netclassifier__l2": [0, 1e-3]}
)
search.fit(X_train, y_train)
print(f"best settings: {search.best_params_}")

# From which probability on is it malignant? Few may be missed: 99 % of those of the validation
# rows are to be found, and as few others as that allows.
careful = network(validation=0.3, threshold={"recall": 0.99}).fit(X_train, y_train)
for name, model in (("at 0.5", network().fit(X_train, y_train)), ("chosen", careful)):
    found = model.predict(X_test)
    recall = recall_score(y_test, found, pos_label="malignant")
    precision = precision_score(y_test, found, pos_label="malignant")
    border = model[-1].threshold_
    print(f"threshold {name}: {border:.3f}, recall {recall:.3f}, precision {precision:.3f}")

# Are 80 % eighty of a hundred? The Brier score is the squared distance from the truth.
calibrated = CalibratedClassifierCV(network(), cv=5).fit(X_train, y_train)
for name, model in (("as it is", network().fit(X_train, y_train)), ("calibrated", calibrated)):
    shares = model.predict_proba(X_test)[:, 1]
    print(f"Brier score {name}: {brier_score_loss(y_test == 'malignant', shares):.4f}")

# What mattered? A column is shuffled, and the score falls by so much.
found = permutation_importance(careful, X_test, y_test, n_repeats=5, random_state=0)
print("what mattered most:")
for column in np.argsort(-found.importances_mean)[:5]:
    print(f"  {data.feature_names[column]:24} {found.importances_mean[column]:.3f}")
