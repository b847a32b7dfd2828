"""Weights of training samples, so that classes and domains count alike."""

from typing import Literal

import pandas as pd
import torch


def balancing_weights(
    table: pd.DataFrame, balance: Literal["none", "class", "domain", "bucket"], n_unlabelled: int = 0
) -> torch.Tensor | None:
    """Weight of each sample: all groups have the same sum, and the mean over samples is 1.

    Parameters
    ----------
    table : DataFrame
        A row per sample: label and domain.
    balance : {"none", "class", "domain", "bucket"}
        What a group is: samples with the same label, domain, or both.
    n_unlabelled : int
        Samples that follow, of no known label or domain: they are in no group, and weigh 1 each.

    Returns
    -------
    Tensor of float32, shape (n_samples + n_unlabelled,), or None
        n_samples / (n_groups times the samples in the group); None for "none".
    """
    if balance == "none":
        return None
    columns = {"class": ["label"], "domain": ["domain"], "bucket": ["domain", "label"]}[balance]
    groups = table.groupby(columns, sort=False)
    sizes = groups["label"].transform("size").to_numpy("float64")
    weights = torch.from_numpy(len(table) / (groups.ngroups * sizes)).float()
    return torch.cat([weights, torch.ones(n_unlabelled)])
