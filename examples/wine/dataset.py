"""The wine data (UCI, as scikit-learn ships it) and its splits."""

import csv
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

COLUMNS = (
    "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
    "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280_od315", "proline",
)  # fmt: skip


def load(path="data/wine.csv"):
    """Return the features as a matrix and the cultivars as names."""
    with Path(path).open() as file:
        rows = list(csv.DictReader(file))
    features = np.array([[float(row[name]) for name in COLUMNS] for row in rows])
    return features, np.array([row["cultivar"] for row in rows])


def held_out(features, cultivars):
    """Split off the test set: the same one for every seed, so that runs can be compared."""
    return train_test_split(features, cultivars, test_size=0.3, stratify=cultivars, random_state=1)
