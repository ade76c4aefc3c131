"""What is a house worth? Columns of numbers and text, with gaps, from a frame to what mattered.

Run it with `python examples/housing.py`; it needs scikit-learn and pandas, and writes nothing. The
data are those of California's census of 1990 where the folder that RANVIER_DATA names has
`california-housing/housing.csv`; else scikit-learn's diabetes data, which it brings along.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.dummy import DummyRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.preprocessing import StandardScaler

from ranvier.sklearn import NetRegressor

file = Path(os.environ.get("RANVIER_DATA", "")) / "california-housing" / "housing.csv"
if file.is_file():
    frame = pd.read_csv(file)
    frame["rooms_a_household"] = frame["total_rooms"] / frame["households"]
    frame["people_a_household"] = frame["population"] / frame["households"]
    y = frame.pop("median_house_value").to_numpy()
    settings = {"module__hidden": (64, 64), "epochs": 15, "lr": 0.003, "batch_size": 128}
else:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    frame, y = X.assign(sex=np.where(X["sex"] > 0, "one", "other")), y.to_numpy()
    settings = {"module__hidden": (16,), "epochs": 60, "lr": 0.01, "l2": 0.01}
print(f"{len(frame)} rows, columns: {', '.join(map(str, frame.columns))}")

# Text becomes columns of 0 and 1, gaps the median, numbers come on one scale: the estimator does
# so with the frame as it is. The target is scaled around it, as any regressor's may be.
net = NetRegressor(preprocess=True, random_state=0, schedule="cosine", **settings)
model = TransformedTargetRegressor(net, transformer=StandardScaler())
X_train, X_test, y_train, y_test = train_test_split(frame, y, random_state=0)

scores = cross_val_score(model, X_train, y_train, cv=3, scoring="r2")
print(f"R2 in cross-validation: {scores.mean():.3f} +- {scores.std():.3f}")

# On rows that nobody has looked at, beside the mean of the others.
model.fit(X_train, y_train)
for name, kind in (("the mean", DummyRegressor().fit(X_train, y_train)), ("the network", model)):
    error = root_mean_squared_error(y_test, kind.predict(X_test))
    print(f"root mean squared error of {name}: {error:,.0f}")

# What mattered? A column is shuffled, and R2 falls by so much.
some = X_test.sample(min(len(X_test), 2000), random_state=0)
truth = y_test[X_test.index.get_indexer(some.index)]
found = permutation_importance(model, some, truth, n_repeats=3, random_state=0)
print("what mattered most:")
for column in np.argsort(-found.importances_mean)[:5]:
    print(f"  {frame.columns[column]:20} {found.importances_mean[column]:.3f}")
