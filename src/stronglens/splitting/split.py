"""Dividing labelled objects into training, validation and test: by group, bucket by bucket."""

import logging
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from stronglens.formats.artefact import check_stated
from stronglens.formats.packed import INDEX, SUMMARY, PackSummary
from stronglens.formats.split_table import SPLITS, SplitCounts, write_splits
from stronglens.running.errors import InputError
from stronglens.settings.data import SplitSettings

LARGEST_SHARE = 0.25
"""Share of a bucket beyond which a group, of three objects or more, is no group: the name of a field or of a
survey in place of ids, or one picture in place of many. The whole of it would be in one split."""

log = logging.getLogger(__name__)

_MOST_EXAMPLES = 3


def split_objects(packed: Path, out_dir: Path, settings: SplitSettings) -> None:
    """Divide the objects of a packed, labelled data set; write `objects.parquet` and `objects.json`.

    Parameters
    ----------
    packed : Path
        Folder that `build_buckets` wrote. Only its index is read, not the cutouts.
    out_dir : Path
        Folder for the two files.
    settings : SplitSettings
        Shares and seed.

    Raises
    ------
    InputError
        The set is not labelled, or its index is not the one that its summary describes; a group holds more
        than `LARGEST_SHARE` of a bucket; a split has no lenses, or nothing but lenses.
    """
    summary = PackSummary.read(packed / SUMMARY)
    if not summary.labelled:
        raise InputError(
            f"{packed / SUMMARY}: expected a labelled data set, found {summary.dataset!r} without"
        )
    check_stated(packed / INDEX, summary.sha256, packed / SUMMARY)
    columns = ["object", "bucket", "label", "header_id", "pixel_hash"]
    index = pd.read_parquet(packed / INDEX, columns=columns)
    objects = index[["object", "bucket", "label"]].drop_duplicates("object", ignore_index=True)
    objects.insert(1, "group", group_objects(index))
    _refuse_large_groups(objects, index, packed / INDEX)
    splits = assign_splits(objects, settings)
    objects.insert(2, "split", np.array(SPLITS, dtype=object)[splits])
    counts = _counts(objects)
    _refuse_absent_classes(objects, settings)
    write_splits(out_dir, objects, summary, settings.model_dump(mode="json"), counts)
    log.info("%d objects in %d groups: %s", len(objects), counts.n_groups, counts.split)


def group_objects(index: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Put objects together that must not be separated: one id in the files, or identical pixels.

    Parameters
    ----------
    index : DataFrame
        A row per cutout: object, header_id, pixel_hash; "" links nothing.

    Returns
    -------
    ndarray of int64, shape (n_objects,)
        Group of each object, objects in the order in which they first appear. Groups are numbered in the
        order of their smallest object key.
    """
    objects, names = pd.factorize(index["object"])
    n_objects = n_nodes = len(names)
    starts, ends = [], []
    for column in ("header_id", "pixel_hash"):
        linked = (index[column] != "").to_numpy()
        values, distinct = pd.factorize(index.loc[linked, column])
        starts.append(objects[linked])
        ends.append(n_nodes + values)
        n_nodes += len(distinct)
    start, end = np.concatenate(starts), np.concatenate(ends)
    edges = sparse.coo_array((np.ones(len(start), dtype=bool), (start, end)), shape=(n_nodes, n_nodes))
    component = connected_components(edges, directed=False)[1][:n_objects]
    by_name = np.argsort(names.to_numpy(dtype=object), kind="stable")
    number, _ = pd.factorize(component[by_name])
    groups = np.empty(n_objects, dtype=np.int64)
    groups[by_name] = number
    return groups


def _refuse_large_groups(objects: pd.DataFrame, index: pd.DataFrame, path: Path) -> None:
    sizes = objects.groupby(["bucket", "group"]).size()
    largest = sizes.groupby("bucket").transform("sum") * LARGEST_SHARE
    large = sizes[(sizes > largest) & (sizes > 2)]
    if large.empty:
        return
    bucket, group = large.index[int(large.argmax())]
    members = index[index["object"].isin(objects.loc[objects["group"] == group, "object"])]
    links = []
    for column, kind in (("header_id", "id"), ("pixel_hash", "image")):
        shared = members[members[column] != ""].groupby(column)["object"].nunique()
        # An image is shown by the objects that have it, an id by itself.
        for value, n in shared[shared > 1].nlargest(_MOST_EXAMPLES).items():
            names = ", ".join(members.loc[members[column] == value, "object"].unique()[:_MOST_EXAMPLES])
            links.append(
                f"{kind} {value!r} of {n} objects ({names})" if kind == "id" else f"one image of {names}"
            )
    raise InputError(
        f"{path}: expected at most {LARGEST_SHARE:.0%} of a bucket in one group, found {large.max()} of "
        f"{(objects['bucket'] == bucket).sum()} objects of {bucket} joined by {'; '.join(links)}; what "
        "shares an id or an image stays in one split: correct or remove the ids in the files, and pack again"
    )


def assign_splits(objects: pd.DataFrame, settings: SplitSettings) -> npt.NDArray[np.int64]:
    """Give each group to a split, so that each bucket is divided by the shares to within one group.

    Groups come in the order of a hash of the seed and their smallest object key: the order of files does
    not matter. Each goes where its buckets have most room left. Groups that span buckets come first, while
    there is room everywhere.

    Parameters
    ----------
    objects : DataFrame
        A row per object: object, group, bucket.
    settings : SplitSettings
        Shares and seed.

    Returns
    -------
    ndarray of int64, shape (n_objects,)
        Number of each object's split in `SPLITS`.

    Notes
    -----
    Why within one group: a split that receives a group has the most room left, hence some. Its surplus is
    less than that group. And none lacks as much as a whole group, or every split that received one would
    have no surplus to make up for it.
    """
    groups = objects["group"].to_numpy()
    buckets, _ = pd.factorize(objects["bucket"])
    n_groups = int(groups.max()) + 1
    sizes = np.zeros((n_groups, int(buckets.max()) + 1), dtype=np.int64)
    np.add.at(sizes, (groups, buckets), 1)
    smallest = objects["object"].groupby(groups).min()
    draw = [_draw(settings.seed, name) for name in smallest]
    spans = (sizes > 0).sum(axis=1) > 1
    order = sorted(range(n_groups), key=lambda group: (not spans[group], draw[group]))
    shares = np.array([settings.train, settings.val, settings.test])
    room = sizes.sum(axis=0)[:, None] * shares
    room_in_all = room.sum(axis=0)
    chosen = np.empty(n_groups, dtype=np.int64)
    for group in order:
        own = np.flatnonzero(sizes[group])
        room_in_own = room[own].min(axis=0)
        # Buckets of one size end in a tie: the whole set decides, or one split would win in all of them.
        split = max(range(len(SPLITS)), key=lambda n: (room_in_own[n], room_in_all[n]))
        room[own, split] -= sizes[group, own]
        room_in_all[split] -= sizes[group].sum()
        chosen[group] = split
    splits: npt.NDArray[np.int64] = chosen[groups]
    return splits


def _draw(seed: int, name: str) -> bytes:
    return blake2b(name.encode(), digest_size=16, salt=seed.to_bytes(16, "little")).digest()


def _counts(objects: pd.DataFrame) -> SplitCounts:
    table = pd.crosstab(objects["bucket"], objects["split"]).reindex(columns=list(SPLITS), fill_value=0)
    group_sizes = objects["group"].value_counts()
    return SplitCounts(
        n_objects=len(objects),
        n_groups=len(group_sizes),
        n_grouped_objects=int(group_sizes[group_sizes > 1].sum()),
        split={split: int(table[split].sum()) for split in SPLITS},
        bucket={
            str(bucket): {split: int(table.loc[bucket, split]) for split in SPLITS} for bucket in table.index
        },
    )


def _refuse_absent_classes(objects: pd.DataFrame, settings: SplitSettings) -> None:
    by_bucket = objects.groupby("bucket", sort=False)
    sizes = {
        str(bucket): f"{len(inside)} objects" + (f" in {n} groups" if n < len(inside) else "")
        for bucket, inside in by_bucket
        for n in [inside["group"].nunique()]
    }
    for split, share in zip(SPLITS, (settings.train, settings.val, settings.test), strict=True):
        inside = objects[objects["split"] == split]
        for label, kind in ((1, "lens"), (0, "object that is no lens")):
            if not (inside["label"] == label).any():
                of_class = objects["bucket"][objects["label"] == label].unique()
                small = [f"{bucket} ({size})" for bucket, size in sizes.items() if bucket in of_class]
                raise InputError(
                    f"split {split}: expected at least one {kind} in a share of {share:g}, found none; "
                    f"too small for that: {', '.join(small)}"
                )
        absent = [bucket for bucket in sizes if not (inside["bucket"] == bucket).any()]
        if absent:
            log.warning("split %s: no object of %s", split, ", ".join(absent))
