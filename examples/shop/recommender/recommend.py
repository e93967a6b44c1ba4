"""Learn from the orders what to recommend: a truncated SVD of the customer × product matrix.

One order of some customers is held out; `hit_rate` says how often it is among the recommended.
"""

import json
import os
from pathlib import Path

import numpy as np
import psycopg2
from sklearn.decomposition import TruncatedSVD

MODELS = Path("models")


def main():
    config = json.loads(Path("config.json").read_text())
    rng = np.random.default_rng(int(os.environ["SEED"]))
    with psycopg2.connect(os.environ["DATABASE_URL"]) as connection:
        cursor = connection.cursor()
        cursor.execute("select name from products order by id")
        names = [name for (name,) in cursor.fetchall()]
        cursor.execute("select distinct customer, product from orders where state = 'done'")
        pairs = sorted(cursor.fetchall())

    customers = sorted({customer for customer, _ in pairs})
    bought = np.zeros((len(customers), len(names)))
    for customer, product in pairs:
        bought[customers.index(customer), product] = 1

    hidden = {}
    for row in np.flatnonzero(rng.random(len(customers)) < config["held_out"]):
        hidden[row] = rng.choice(np.flatnonzero(bought[row]))
    known = bought.copy()
    known[list(hidden), list(hidden.values())] = 0

    model = TruncatedSVD(config["components"], random_state=int(os.environ["SEED"]))
    scores = model.inverse_transform(model.fit_transform(known))
    scores[known > 0] = -np.inf
    best = np.argsort(-scores, axis=1)[:, : config["top"]]
    hits = [hidden[row] in best[row] for row in hidden]

    MODELS.mkdir(exist_ok=True)
    recommended = {
        str(customer): [names[product] for product in row]
        for customer, row in zip(customers, best, strict=True)
    }
    metrics = {"hit_rate": float(np.mean(hits)), "customers": len(customers), "orders": len(pairs)}
    (MODELS / "recommendations.json").write_text(json.dumps(recommended) + "\n")
    (MODELS / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(json.dumps(metrics))


if __name__ == "__main__":
    main()
