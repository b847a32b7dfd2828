"""The model card of a capsule: one page for whoever is to use it, from its manifest alone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stronglens.formats.capsule import CapsuleMember, Manifest
from stronglens.formats.digits import limits, probability, stated

_METRICS = {
    "roc_auc": "area under the ROC curve",
    "pr_auc": "average precision",
    "recall": "completeness at t*",
    "precision": "purity at t*, for the lens fraction of these data",
    "specificity": "non-lenses below t*",
    "brier": "Brier score",
    "ece": "expected calibration error",
}
_COMPARED = {
    "roc_auc": "area under the ROC curve",
    "tpr_at_fpr_0.01": "completeness at a false-positive rate of 1 %",
    "recall": "completeness at t*",
    "specificity": "non-lenses below t*",
}
_OBJECTS = {
    "heldout": "held-out objects, which nothing was chosen on",
    "val": "validation objects, on which t* was chosen",
}


def model_card(manifest: Manifest) -> str:
    """Write the card, as Markdown.

    Parameters
    ----------
    manifest : Manifest
        Of the capsule.
    """
    sections = (
        *(_intended_use, _input, _members, _decision, _scores, _teacher, _completeness),
        *(_drift, _limits, _origin),
    )
    parts = [f"# {manifest.name}", _summary(manifest), *(section(manifest) for section in sections)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(manifest: Manifest) -> str:
    networks = ", ".join(sorted({member.settings.network.name for member in manifest.members}))
    simulated = "**Trained on the embedded simulation alone: to try things out, not for science.**\n\n"
    n_members = "one network" if len(manifest.members) == 1 else f"{len(manifest.members)} networks"
    return (
        f"{simulated if manifest.simulated else ''}An ensemble of {n_members} ({networks}) that gives the "
        "probability that a galaxy is a strong gravitational lens, from a cutout in "
        f"{', '.join(manifest.bands)}."
    )


def _intended_use(manifest: Manifest) -> str:
    bands = "".join(manifest.bands) if all(len(band) == 1 for band in manifest.bands) else manifest.bands
    return (
        "## Intended use\n\n"
        "Ranking galaxies of the survey it was trained for, so that people or spectrographs look at the "
        "likely lenses first. Not for lens fractions or rates without a calibration on the data in question, "
        "and not as the only evidence that an object is a lens.\n\n"
        "```python\n"
        "import stronglens\n\n"
        f'finder = stronglens.load("{manifest.name}.capsule")\n'
        f"result = finder.predict(images, bands={bands!r})\n"
        "```"
    )


def _input(manifest: Manifest) -> str:
    scale, size_px = manifest.pixel_scale_arcsec, manifest.size_px
    scaled = (
        "pixel scale not stated: that of the training data" if scale is None else f"{scale:g} arcsec a pixel"
    )
    policy = {
        "reject": "A band with pixels that are not finite counts as missing.",
        "fill": "Pixels that are not finite get the median of their cutout, if fewer than half are so.",
    }[manifest.non_finite]
    bands = ", ".join(manifest.bands)
    return (
        f"## Input\n\nCutouts of {size_px} x {size_px} pixels {scaled}, in {bands}, in the counts of the "
        f"training data, the object in the middle. Bands may be missing. {policy}"
    )


def _members(manifest: Manifest) -> str:
    rows = [
        (member.model, member.seed, member.settings.network.name, _seen(member), _preprocessing(member))
        for member in manifest.members
    ]
    return "## Members\n\n" + _table(("model", "seed", "network", "sees", "preprocessing"), rows)


def _seen(member: CapsuleMember) -> str:
    bands = member.settings.bands
    seen = "each band by itself" if isinstance(bands, str) else f"{', '.join(bands)} together"
    return f"{seen}, in eight symmetries" if member.test_time_augmentation else seen


def _preprocessing(member: CapsuleMember) -> str:
    settings = member.settings.preprocess
    words = [] if settings.smoothing == "none" else [f"{settings.smoothing} smoothing"]
    if settings.normalise:
        softening = [f"{band} {value:.3g}" for band, value in settings.asinh_softening_of_band.items()]
        common = [] if settings.asinh_softening is None else [f"{settings.asinh_softening:.3g}"]
        counts = ", ".join(softening + common)
        words.append(
            f"{settings.normalisation} normalisation{f' (softening in counts: {counts})' if counts else ''}"
        )
    if settings.pad_to_px is not None:
        words.append(f"padded to {settings.pad_to_px} px")
    return ", ".join(words) or "none"


def _decision(manifest: Manifest) -> str:
    settings = manifest.combination.get("settings") or {}
    calibration = settings.get("calibration", "none")
    members = str(settings.get("combine_members", "mean_of_probs")).replace("_", " ")
    bands = settings.get("combine_bands", "mean")
    interval = manifest.threshold_interval
    known = "" if interval is None else f" (95 % confidence: {' to '.join(map(probability, interval))})"
    return (
        "## Decision\n\n"
        f"Bands by {bands}, then members by {members}; calibration: {calibration}. "
        f"A candidate has a probability of at least t* = {probability(manifest.threshold)}{known}."
    )


def _scores(manifest: Manifest) -> str:
    parts = ["## Scores", "With intervals of 95 % confidence from resampled objects."]
    for which in sorted(manifest.scores, key=list(_OBJECTS).index):
        blocks = manifest.scores[which]
        names = list(blocks)
        header = ("metric", *(name.removeprefix("domain::").replace("global", "all") for name in names))
        rows = [
            ("lenses, non-lenses", *(_counts(blocks[name]) for name in names)),
            *(
                (words, *(_value(blocks[name], metric) for name in names))
                for metric, words in _METRICS.items()
            ),
        ]
        parts += [f"### {_OBJECTS[which].capitalize()}", _table(header, rows)]
        parts += [f"**{warning}**" for warning in blocks.get("global", {}).get("warnings", [])]
    return "\n\n".join(parts)


def _counts(block: Mapping[str, Any]) -> str:
    return f"{block['tp'] + block['fn']}, {block['tn'] + block['fp']}"


def _value(block: Mapping[str, Any], metric: str) -> str:
    value, interval = block.get(metric), (block.get("intervals") or {}).get(metric)
    if value is None:
        return "undefined"
    return stated(value, interval) + (f" ({' to '.join(limits(interval))})" if interval else "")


def _teacher(manifest: Manifest) -> str:
    teacher = manifest.teacher
    if teacher is None:
        return ""
    rows = [
        (words, *(_with_interval(found[metric]) for found in (teacher.own, teacher.reference, teacher.lost)))
        for metric, words in _COMPARED.items()
    ]
    networks = "one network" if teacher.n_members == 1 else f"{teacher.n_members} networks"
    testsets = sorted({name for member in manifest.members for name in member.settings.distil_on})
    more = (
        f", and the objects of {', '.join(f'`{name}`' for name in testsets)}, without labels"
        if testsets
        else ""
    )
    return (
        "## Distilled\n\n"
        f"Trained on the probabilities that the ensemble `{teacher.name}` of {networks} gives its own "
        f"training objects, of which it is surer than of others{more}. Neither has learnt from the "
        f"{teacher.n_objects} held-out objects that are compared here, each at its own t*; intervals of what "
        "is lost are of objects drawn for both alike.\n\n"
        + _table(("metric", "this", f"`{teacher.name}`", "lost"), rows)
    )


def _with_interval(found: Mapping[str, Any]) -> str:
    value, interval = found["value"], found["interval"]
    return stated(value, interval) + (
        f" ({' to '.join(limits(interval))})" if interval and value is not None else ""
    )


def _completeness(manifest: Manifest) -> str:
    rows = [row for row in manifest.completeness if row["objects"] == "global"]
    if not rows:
        return "## Completeness\n\nNot known by Einstein radius or magnitude: the lenses have no parameters."
    cells = [
        (
            str(row["property"]).replace("_", " "),
            f"{row['low']:.3g} to {row['high']:.3g}",
            row["n_lenses"],
            f"{row['completeness']:.2f}"
            + (
                ""
                if row["interval_low"] is None
                else f" ({row['interval_low']:.2f} to {row['interval_high']:.2f})"
            ),
        )
        for row in rows
    ]
    return "## Completeness\n\nOf the held-out lenses, at t*.\n\n" + _table(
        ("property", "range", "lenses", "completeness"), [(a, b, f"{c:g}", d) for a, b, c, d in cells]
    )


def _drift(manifest: Manifest) -> str:
    if not manifest.drift:
        return "## Drift\n\nNot measured: compare your data with the training data first."
    lines = []
    for testset, found in manifest.drift.items():
        differ = [f"{one['statistic']} {one['band']}".strip() for one in found["drifting"]]
        said = f"differs from the training data in {', '.join(differ)}" if differ else "no drift found"
        lines.append(f"- `{testset}`: {said} ({found['n_compared']} numbers compared).")
    return "## Drift\n\n" + "\n".join(lines)


def _limits(manifest: Manifest) -> str:
    domains = sorted(name.removeprefix("domain::") for name in manifest.scores["val"] if name != "global")
    known = f" They hold for the domains {', '.join(domains)}." if domains else ""
    return (
        "## Limits\n\n"
        "Probabilities are those of data with as many lenses as the validation objects, far more than the "
        f"sky has.{known} Other surveys, depths, seeing, pixel scales or units of pixels give probabilities "
        "of unknown worth, without a warning."
    )


def _origin(manifest: Manifest) -> str:
    code, data = manifest.code, manifest.data
    revision = str(code.get("revision") or "unknown")
    dirty = ", with changes" if code.get("dirty") else ""
    lines = [
        f"- Licence of the weights: {manifest.licence}.",
        f"- To cite: {manifest.citation}",
        f"- Labelled data: {data.get('n_objects', 'unknown')} objects, {data.get('n_cutouts', 'unknown')} "
        f"cutouts; SHA-256 of the cutouts {(data.get('sha256') or {}).get('cutouts.npy', 'unknown')}.",
        f"- Code: revision {revision}{dirty}; SHA-256 {code.get('sha256', 'unknown')}.",
        f"- Made with {', '.join(f'{name} {version}' for name, version in manifest.versions.items())}.",
    ]
    return "## Origin\n\n" + "\n".join(lines)


def _table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
