"""Samples of a packed set, and ways to preprocess them."""

from stronglens.formats.packed import PackedSet
from stronglens.networks.samples import Samples, make_samples
from stronglens.settings.preprocess import PreprocessSettings

PREPROCESSING = {
    "plain": PreprocessSettings(smoothing="gaussian"),
    "padded": PreprocessSettings(scale="mad", pad_to_px=40),
    "psf": PreprocessSettings(smoothing="psf", psf_target_fwhm_px=4.5, psf_input_fwhm_px={"hsc": 3.6}),
    "object": PreprocessSettings(normalisation="object", smoothing="gaussian"),
    "asinh": PreprocessSettings(
        normalisation="asinh", asinh_softening=0.1, asinh_softening_of_band={"r": 0.3}
    ),
}


def choose(packed: PackedSet, bands: str | list[str]) -> Samples:
    """Samples of two thirds of the objects."""
    chosen = packed.index["object"].str[-1].astype(int).mod(3).ne(0).to_numpy()
    return make_samples(packed.index, bands, chosen, packed.summary.bands)  # type: ignore[arg-type]
