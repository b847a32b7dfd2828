"""An ensemble as one graph, from raw pixels to probability, written so that ONNX can hold all of it.

The same computation as `stronglens.networks.preprocess` and `stronglens.ensembling`, in operations of which
a graph for any number of objects can be made: order statistics by sorting, missing bands by masks.
"""

import io
import logging
import math
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from stronglens.ensembling.combination import PROB_FLOOR, BandWeights, Combination
from stronglens.ensembling.lens_estimates import n_estimating
from stronglens.finder.members import TorchMember
from stronglens.formats.capsule import CapsuleMember, Manifest
from stronglens.inspecting.cutout_statistics import BORDER_PX, SIGMA_PER_MAD
from stronglens.networks.lens_widths import gaussians_of
from stronglens.networks.normalise import BACKGROUND_QUANTILE, divisor_of
from stronglens.networks.preprocess import FWHM_PER_SIGMA, TRUNCATE_SIGMAS, pad_centred
from stronglens.networks.symmetries import N_SYMMETRIES, dihedral
from stronglens.running.errors import InputError
from stronglens.settings.domains import UNKNOWN
from stronglens.settings.lens_parameters import columns_of, std_column
from stronglens.settings.preprocess import PreprocessSettings
from stronglens.sources.checked import LARGEST_VALUE

OPSET = 18
"""Of ONNX: known to onnxruntime 1.14 (2023) and later."""


class EnsembleGraph(nn.Module):
    """All of an ensemble.

    Parameters
    ----------
    manifest : Manifest
        Of its capsule.
    members : sequence of TorchMember
        Its networks, on the CPU.
    """

    def __init__(self, manifest: Manifest, members: Sequence[TorchMember]) -> None:
        super().__init__()
        self.manifest = manifest
        self.stated = [member.stated for member in members]
        self.networks = nn.ModuleList([member.network.eval() for member in members])
        self.combination = Combination.model_validate(manifest.combination)

    @property
    def names(self) -> list[str]:
        """Names of the outputs."""
        lens = columns_of(n_estimating([member.estimated for member in self.stated]))
        sky = [] if self.combination.settings.sky_prevalence is None else ["prob_sky"]
        return ["prob", "prob_std", "prob_raw", "members", *sky, *lens]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Give the outputs of `names` for images of shape (n, n_bands, size_px, size_px), NaN where missing.

        Each is of float64 and shape (n,), `members` of shape (n, n_members); NaN where there is no cutout.
        """
        images, good = _as_packed(images, self.manifest.non_finite)
        present = good.any(dim=1)
        probs, estimates = [], []
        weights = self.combination.band_weights or [None] * len(self.stated)
        for member, network, own in zip(self.stated, self.networks, weights, strict=True):
            settings = member.settings
            prepared = _preprocess(images, good, settings.preprocess, self.manifest.bands)
            if settings.bands == "each":
                shown, is_shown = prepared.flatten(0, 1)[:, None], good
            else:
                chosen = [self.manifest.bands.index(band) for band in settings.bands]
                # An object without any of these bands is shown all the same.
                shown, is_shown = prepared[:, chosen], torch.ones_like(good[:, :1])
            n_views = N_SYMMETRIES if member.test_time_augmentation else 1
            # One after the other as more samples: the graph holds the network once.
            views = network(torch.cat([dihedral(shown, number) for number in range(n_views)])).double()
            of_views = views.reshape(n_views, -1, settings.n_outputs)
            of_samples = torch.sigmoid(of_views[:, :, 0]).mean(dim=0)
            of_bands = _by_object(of_samples, is_shown.shape[1])
            bands = self.manifest.bands if settings.bands == "each" else ["".join(settings.bands)]
            probs.append(
                _mean(of_bands, is_shown) if own is None else _weighted(of_bands, is_shown, own, bands)
            )
            estimates.append(_estimates(member, of_views[:, :, 1:], is_shown))
        of_members = torch.stack(probs, dim=1)
        raw = self._pooled(of_members)
        prob = self._calibrated(raw)
        outputs = {"prob": prob, "prob_std": _spread(self._calibrated(of_members)), "prob_raw": raw}
        outputs["members"] = of_members
        outputs |= self._for_the_sky(prob)
        for name in n_estimating([list(found) for found in estimates]):
            values = torch.stack([found[name] for found in estimates if name in found], dim=1)
            width = std_column(name)
            if name not in self.manifest.width_factors:
                outputs |= {name: values.mean(dim=1), width: _spread(values)}
                continue
            stds = torch.stack([found[width] for found in estimates if name in found], dim=1)
            mean, std = _mixture(values, stds, torch.ones_like(values, dtype=torch.bool))
            outputs |= {name: mean, width: std * self.manifest.width_factors[name]}
        return tuple(
            torch.where(present if values.dim() == 1 else present[:, None], values, torch.nan)
            for values in (outputs[name] for name in self.names)
        )

    def _pooled(self, of_members: Tensor) -> Tensor:
        if self.combination.settings.combine_members == "mean_of_logits":
            return torch.sigmoid(_logit(of_members).mean(dim=1))
        if self.combination.member_weights is not None:
            weights = torch.tensor(self.combination.member_weights, dtype=torch.float64)
            return (of_members * weights).sum(dim=1).clamp(0, 1)
        return of_members.mean(dim=1)

    def _calibrated(self, probs: Tensor) -> Tensor:
        sigmoid, isotonic = self.combination.sigmoid, self.combination.isotonic
        if sigmoid is not None:
            return torch.sigmoid(sigmoid.slope * _logit(probs) + sigmoid.intercept)
        if isotonic is not None:
            return _interpolated(probs, isotonic.probs, isotonic.calibrated)
        return probs

    def _for_the_sky(self, prob: Tensor) -> dict[str, Tensor]:
        sky, fraction = self.combination.settings.sky_prevalence, self.combination.lens_fraction
        if sky is None or fraction is None:
            return {}
        of_lenses = prob * (sky / fraction)
        return {"prob_sky": of_lenses / (of_lenses + (1 - prob) * ((1 - sky) / (1 - fraction)))}


def _estimates(member: CapsuleMember, of_views: Tensor, is_shown: Tensor) -> dict[str, Tensor]:
    """Lens parameters of each object by one member, and their widths if it gives some, each of shape (n,).

    Takes what the network gives after the logit, shape (n_views, n_samples, n_outputs - 1), and which bands
    are shown, shape (n, n_bands).
    """
    found: dict[str, Tensor] = {}
    if member.lens_scaling is None:
        return found
    names, means, stds = (getattr(member.lens_scaling, key) for key in ("names", "means", "stds"))
    n_bands = is_shown.shape[1]
    if not member.settings.has_uncertainties:
        others = of_views.mean(dim=0)
        for number, name in enumerate(names):
            values = others[:, number] * stds[number] + means[number]
            found[name] = _mean(_by_object(values, n_bands), is_shown)
        return found
    values_of_views, widths_of_views = gaussians_of(of_views)
    for number, name in enumerate(names):
        of_samples = [of[:, :, number].T for of in (values_of_views, widths_of_views)]
        all_views = torch.ones_like(of_samples[0], dtype=torch.bool)
        mean, width = _mixture(of_samples[0], of_samples[1], all_views)
        found[name], found[std_column(name)] = _mixture(
            _by_object(mean * stds[number] + means[number], n_bands),
            _by_object(width * stds[number], n_bands),
            is_shown,
        )
    return found


def _mixture(means: Tensor, stds: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """As `stronglens.networks.mixture.mixture`, over those of the components, axis 1, that are chosen."""
    mean = _mean(means, chosen)
    variance = _mean(stds * stds + (means - mean[:, None]) * (means - mean[:, None]), chosen)
    return mean, variance.sqrt()


def _by_object(values: Tensor, n_bands: int) -> Tensor:
    """With an axis for the bands, which were one after the other."""
    return values.reshape(-1, n_bands, *values.shape[1:])


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Over the bands that are there, shape (n,)."""
    return torch.where(chosen, values, 0).sum(dim=1) / chosen.sum(dim=1)


def _weighted(probs: Tensor, chosen: Tensor, weights: BandWeights, bands: Sequence[str]) -> Tensor:
    by_band = dict(zip(weights.bands, weights.coefficients, strict=True))
    coefficients = torch.tensor([by_band.get(band, 0.0) for band in bands], dtype=torch.float64)
    logits = torch.where(chosen, _logit(probs), 0)
    return torch.sigmoid((logits * coefficients).sum(dim=1) + weights.intercept)


def _logit(probs: Tensor) -> Tensor:
    clipped = probs.clamp(PROB_FLOOR, 1 - PROB_FLOOR)
    return torch.log(clipped) - torch.log1p(-clipped)


def _spread(values: Tensor) -> Tensor:
    """Sample standard deviation over members, shape (n,); 0 for one."""
    n_members = values.shape[1]
    deviation = values - values.mean(dim=1, keepdim=True)
    return ((deviation * deviation).sum(dim=1) / max(n_members - 1, 1)).sqrt()


def _interpolated(values: Tensor, points: Sequence[float], heights: Sequence[float]) -> Tensor:
    """As `numpy.interp`: linear between points, constant outside."""
    x, y = (torch.tensor(of, dtype=torch.float64) for of in (points, heights))
    if len(points) == 1:
        return torch.full_like(values, heights[0])
    clipped = values.clamp(points[0], points[-1])
    below = ((clipped[..., None] >= x).sum(dim=-1) - 1).clamp(0, len(points) - 2)
    slope = (y[1:] - y[:-1]) / (x[1:] - x[:-1])
    return y[below] + slope[below] * (clipped - x[below])


def _as_packed(images: Tensor, non_finite: str) -> tuple[Tensor, Tensor]:
    """What packing takes of images: 0 where it takes none, and which cutouts it takes, shape (n, n_bands)."""
    pixels = images.flatten(2)
    bad = torch.isnan(pixels) | torch.isinf(pixels)
    if non_finite == "fill":
        n_pixels = pixels.shape[2]
        n_good = n_pixels - bad.sum(dim=2, keepdim=True)
        rising = torch.where(bad, torch.inf, pixels).sort(dim=2).values
        middle = [
            rising.gather(2, at.clamp(0, n_pixels - 1)).double() for at in ((n_good - 1) // 2, n_good // 2)
        ]
        median = ((middle[0] + middle[1]) / 2).float()
        bad_fill = bad & (2 * n_good > n_pixels)
        pixels = torch.where(bad_fill, median, pixels)
        bad = bad & ~bad_fill
    clean = torch.where(bad, 0, pixels)
    low, high = clean.amin(dim=2), clean.amax(dim=2)
    good = ~bad.any(dim=2) & (low >= -LARGEST_VALUE) & (high <= LARGEST_VALUE) & (low != high)
    return torch.where(good[:, :, None], clean, 0).view_as(images), good


def _preprocess(images: Tensor, good: Tensor, settings: PreprocessSettings, bands: Sequence[str]) -> Tensor:
    """As `stronglens.networks.preprocess.preprocess`; shape (n, n_bands, y, x), 0 where a band is missing."""
    flat = _smooth(images.flatten(0, 1), settings)
    pixels = flat.flatten(1)
    if settings.normalise:
        if settings.normalisation == "asinh":
            own, common = settings.asinh_softening_of_band, settings.asinh_softening
            softening = torch.tensor([own.get(band, common or math.inf) for band in bands])
            pixels = torch.asinh(_by_object(pixels, len(bands)) / softening[:, None]).flatten(0, 1)
        elif settings.normalisation == "object":
            pixels = _normalise_objects(_by_object(pixels, len(bands)), good, settings).flatten(0, 1)
        else:
            pixels = _normalise_cutouts(pixels, settings)
    shown = pixels.reshape(-1, *flat.shape[1:])
    if settings.pad_to_px is not None:
        shown = pad_centred(shown, settings.pad_to_px)
    shown = _by_object(shown, len(bands))
    return torch.where(good[:, :, None, None], shown, 0)


def _smooth(images: Tensor, settings: PreprocessSettings) -> Tensor:
    """Shape (n, y, x)."""
    if settings.smoothing == "gaussian":
        return _gaussian(images, settings.gaussian_sigma_px)
    if settings.smoothing == "psf":
        # What comes to a capsule is of no domain that it knows.
        fwhm_px, target = settings.psf_input_fwhm_px.get(UNKNOWN), settings.psf_target_fwhm_px or 0.0
        if fwhm_px is None or fwhm_px >= target:
            return images
        return _gaussian(images, math.sqrt(target**2 - fwhm_px**2) / FWHM_PER_SIGMA)
    if settings.smoothing == "guided":
        return _guided(images, settings)
    return images


def _gaussian(images: Tensor, sigma_px: float) -> Tensor:
    radius = math.ceil(TRUNCATE_SIGMAS * sigma_px)
    weights = [math.exp(-0.5 * (offset / sigma_px) ** 2) for offset in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    return _convolve(images, [weight / total for weight in weights])


def _guided(images: Tensor, settings: PreprocessSettings) -> Tensor:
    constant = images.amin(dim=(1, 2), keepdim=True)
    images = images - constant
    unit = _power_of_two(images.flatten(1))[:, :, None]
    images = images / unit
    if settings.guided_eps is None:
        frame = np.ones(images.shape[1:], dtype=bool)
        frame[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = False
        pixels = images.flatten(1)[:, torch.from_numpy(np.flatnonzero(frame))]
        noise = SIGMA_PER_MAD * _median((pixels - _median(pixels)).abs())
        level = settings.guided_eps_in_noise * noise.square()[:, :, None]
    else:
        level = settings.guided_eps / unit / unit
    ones = [1.0] * (settings.guided_radius_px + 1)
    n_inside = _convolve(torch.ones_like(images[:1]), ones)
    mean = _convolve(images, ones) / n_inside
    variance = (_convolve(images * images, ones) / n_inside - mean * mean).clamp(min=0)
    slope = torch.where(variance > 0, variance / torch.where(variance > 0, variance + level, 1), 0)
    offset = mean - slope * mean
    smoothed = (_convolve(slope, ones) / n_inside) * images + _convolve(offset, ones) / n_inside
    return smoothed * unit + constant


def _convolve(images: Tensor, half_kernel: Sequence[float]) -> Tensor:
    """As the sums of shifted images there, without writing into one."""
    for axis in (1, 2):
        length = images.shape[axis]
        total = images * half_kernel[0]
        for distance, weight in enumerate(half_kernel[1:length], start=1):
            rest = length - distance
            for shift, start in (((0, distance), distance), ((distance, 0), 0)):
                around = shift if axis == 2 else (0, 0, *shift)
                total = total + weight * pad(images.narrow(axis, start, rest), around)
        images = total
    return images


def _normalise_cutouts(pixels: Tensor, settings: PreprocessSettings) -> Tensor:
    n_pixels = pixels.shape[1]
    pixels = pixels - _kth_smallest(pixels, 1 + round(BACKGROUND_QUANTILE * (n_pixels - 1)))
    low, high = settings.low_clip_quantile, settings.clip_quantile
    bottom = None if low is None else _quantile(pixels, low)
    top = None if high is None else _quantile(pixels, high)
    if bottom is not None:
        pixels = torch.maximum(pixels, bottom)
    if top is not None:
        pixels = torch.minimum(pixels, top)
    centre = pixels.mean(dim=1, keepdim=True)
    scale = _root_mean_square(pixels - centre, n_pixels)
    if settings.scale == "mad":
        centre = _median(pixels)
        deviation = _median((pixels - centre).abs())
        scale = torch.where(deviation > 0, SIGMA_PER_MAD * deviation, scale)
    return (pixels - centre) / divisor_of(scale)


def _normalise_objects(pixels: Tensor, good: Tensor, settings: PreprocessSettings) -> Tensor:
    """Of shape (n, n_bands, n_pixels), over the bands that are there."""
    n_bands, n_pixels = pixels.shape[1:]
    background = _kth_smallest(pixels.flatten(0, 1), 1 + round(BACKGROUND_QUANTILE * (n_pixels - 1)))
    pixels = pixels - _by_object(background, n_bands)
    is_there = good[:, :, None].expand_as(pixels).flatten(1)
    of_object = pixels.flatten(1)
    n_there = good.sum(dim=1, keepdim=True)
    counts = range(1, n_bands + 1)
    which = (n_there - 1).clamp(min=0)

    def sorted_there(values: Tensor) -> Tensor:
        return torch.where(is_there, values, torch.inf).sort(dim=1).values

    def quantile(q: float) -> Tensor:
        """For each number of bands, and then for that which is there."""
        rising = sorted_there(of_object)
        ranks = [_rank(q, count * n_pixels) for count in counts]
        found = [torch.lerp(rising[:, below], rising[:, above], part) for below, above, part in ranks]
        return torch.stack(found, dim=1).gather(1, which)

    def median(values: Tensor) -> Tensor:
        rising = sorted_there(values)
        found = [rising[:, (count * n_pixels + 1) // 2 - 1] for count in counts]
        return torch.stack(found, dim=1).gather(1, which)

    low, high = settings.low_clip_quantile, settings.clip_quantile
    bottom = None if low is None else quantile(low)
    top = None if high is None else quantile(high)
    if bottom is not None:
        of_object = torch.maximum(of_object, bottom)
    if top is not None:
        of_object = torch.minimum(of_object, top)
    n_values = (n_there * n_pixels).clamp(min=1)
    centre = torch.where(is_there, of_object, 0).sum(dim=1, keepdim=True) / n_values
    scale = _root_mean_square(torch.where(is_there, of_object - centre, 0), n_values)
    if settings.scale == "mad":
        deviation = median((of_object - median(of_object)).abs())
        scale = torch.where(deviation > 0, SIGMA_PER_MAD * deviation, scale)
    return (of_object / divisor_of(scale)).reshape(-1, n_bands, n_pixels)


def _root_mean_square(rows: Tensor, n_values: Tensor | int) -> Tensor:
    unit = _power_of_two(rows)
    scaled = rows / unit
    return ((scaled * scaled).sum(dim=1, keepdim=True) / n_values).sqrt() * unit


def _power_of_two(rows: Tensor) -> Tensor:
    """A power of two near the largest value of each row; which one, changes no bit of a result."""
    largest = rows.abs().amax(dim=1, keepdim=True)
    exponent = torch.floor(torch.log2(torch.where(largest > 0, largest, 1)))
    return torch.exp2(exponent.clamp(-126, 127))


def _median(pixels: Tensor) -> Tensor:
    return _kth_smallest(pixels, (pixels.shape[1] + 1) // 2)


def _kth_smallest(pixels: Tensor, k: int) -> Tensor:
    return pixels.topk(k, dim=1, largest=False).values[:, k - 1 : k]


def _rank(q: float, n_pixels: int) -> tuple[int, int, float]:
    """The two ranks that a quantile is between, and how far from the first: as `networks.normalise` does."""
    last = n_pixels - 1
    rank = float(np.float32(q)) * last
    below = math.floor(rank)
    return below, min(below + 1, last), rank - below


def _quantile(pixels: Tensor, q: float) -> Tensor:
    below, above, part = _rank(q, pixels.shape[1])
    if q > 0.5:
        last = pixels.shape[1] - 1
        falling = pixels.topk(last - below + 1, dim=1).values
        pair = falling[:, last - below], falling[:, last - above]
    else:
        rising = pixels.topk(above + 1, dim=1, largest=False).values
        pair = rising[:, below], rising[:, above]
    return torch.lerp(*pair, part)[:, None]


def onnx_graph(manifest: Manifest, members: Sequence[TorchMember]) -> bytes:
    """Write an ensemble as an ONNX model, from raw pixels to probability.

    Parameters
    ----------
    manifest : Manifest
        Of its capsule.
    members : sequence of TorchMember
        Its networks, on the CPU.

    Returns
    -------
    bytes
        Input `images`: float32, shape (n, n_bands, size_px, size_px), in the bands' order, NaN where a band
        is missing. Outputs: those of `EnsembleGraph.names`.

    Raises
    ------
    InputError
        The packages for it are not installed, or a network has operations that ONNX does not know.
    """
    try:
        import onnx  # noqa: PLC0415 - an extra
        import onnxscript  # noqa: F401, PLC0415 - what torch.onnx works with
    except ImportError as error:
        raise InputError(
            "capsule.onnx is true: expected the packages onnx and onnxscript, found none; install "
            "`stronglens[onnx]`, or set capsule.onnx to false"
        ) from error
    graph = EnsembleGraph(manifest, members).eval()
    example = torch.zeros(2, len(manifest.bands), manifest.size_px, manifest.size_px)
    content = io.BytesIO()
    silent = logging.getLogger("torch.onnx")
    level = silent.level
    silent.setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["images"],
                output_names=graph.names,
                dynamic_shapes={"images": {0: torch.export.Dim("n", min=1)}},
                verbose=False,
                # torch 2.14 and onnxscript 0.7: the optimiser has left a graph that lacked a node.
                optimize=False,
            )
    except Exception as error:  # exporters raise errors of many kinds
        raise InputError(
            f"capsule.onnx is true: {manifest.name} cannot be written as ONNX; set capsule.onnx to false "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0]})"
        ) from error
    finally:
        silent.setLevel(level)
    model: Any = program.model_proto if program is not None else None
    _strip(model)
    onnx.save(model, content)
    return content.getvalue()


def _strip(model: Any) -> None:
    """Take out what says on which machine, from which lines of code, the graph was made."""
    model.producer_version = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in model.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
