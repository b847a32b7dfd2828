"""The ensemble of a test set as a user writes it with pandas: no check, no hash, nothing said.

python plain_ensemble.py PACKED THRESHOLD OUT MEMBER...
"""

import sys

import pandas as pd

packed, threshold, out, *members = sys.argv[1:]
index = pd.read_parquet(
    f"{packed}/index.parquet", columns=["object", "path", "bucket", "domain", "label"]
).groupby("object")
probs = [
    pd.read_csv(f"{member}/pred_test.csv", usecols=["object", "prob"]).groupby("object")["prob"].mean()
    for member in members
]
together = pd.concat(probs, axis=1)
table = index.first().assign(
    prob=together.mean(axis=1),
    prob_std=together.std(axis=1),
    n_members=len(members),
    n_cutouts=index.size(),
)
table["pred"] = (table["prob"] >= float(threshold)).astype(int)
table.to_csv(out)
