"""Settings of the way from raw pixels to what a network sees."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stronglens.settings.base import Settings
from stronglens.settings.domains import Domain


class PreprocessSettings(Settings):
    """Smoothing, then normalisation, then padding; each can be left out."""

    smoothing: Literal["none", "gaussian", "guided", "psf"] = Field("none", examples=["gaussian"])
    """Smoothing of each cutout: `none`; `gaussian` of width `gaussian_sigma_px`; `guided`, an edge-preserving
    filter of `guided_radius_px` and `guided_eps_in_noise`; `psf`, a gaussian that brings the seeing of each
    domain (`psf_input_fwhm_px`) to `psf_target_fwhm_px`."""
    gaussian_sigma_px: float = Field(1.0, gt=0, le=20, examples=[1.0])
    """Standard deviation of the gaussian smoothing, in pixels."""
    guided_radius_px: int = Field(2, ge=1, le=20, examples=[2])
    """Half-width of the guided filter's window, in pixels."""
    guided_eps_in_noise: float = Field(4.0, gt=0, examples=[4])
    """Regularisation of the guided filter, in units of the squared noise of each cutout: variance below it is
    smoothed away. Not used where `guided_eps` is given."""
    guided_eps: float | None = Field(None, gt=0, examples=[0.01])
    """Regularisation of the guided filter in squared counts, the same for all cutouts, as in the original
    pipeline (0.01 there); `null`: by the noise."""
    psf_target_fwhm_px: float | None = Field(None, gt=0, le=41, examples=[4.5])
    """Full width at half maximum of the seeing after `psf` smoothing, in pixels."""
    psf_input_fwhm_px: dict[Domain, Annotated[float, Field(gt=0, le=41)]] = Field(
        {}, examples=["{slsim: 4.0, hsc: 3.6}"]
    )
    """Full width at half maximum of the seeing before `psf` smoothing, in pixels, for each domain;
    a domain that is not named, or whose seeing is no better than the target, is left as it is. Cutouts of
    unlabelled sets have domain `unknown`."""
    normalise: bool = True
    """Whether pixels are normalised, as `normalisation` says."""
    normalisation: Literal["cutout", "object", "asinh"] = Field("cutout", examples=["asinh"])
    """`cutout`: subtract the background (the quantile 0.1), clip, centre and scale each cutout by itself,
    which takes colours away. `object`: subtract the background of each cutout, then clip and scale by one
    level and one scale for all cutouts of the object that could be read, whichever bands the network sees;
    nothing is centred, so the sky is 0 and ratios between bands are kept, but for clipped pixels. `asinh`:
    asinh(x / s) with one softening s for all cutouts of a band, 12 times its noise if not given; a cutout
    decides nothing, and colours and brightness are kept. What `object` and `asinh` gained:
    docs/EXPERIMENTS.md."""
    asinh_softening: float | None = Field(None, gt=0, examples=[0.1])
    """Softening of the `asinh` normalisation, in counts: well below it the stretch is linear, well above it
    logarithmic. `null`: by the noise."""
    asinh_softening_of_band: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, examples=["{g: 0.05, y: 0.3}"]
    )
    """Softening of single bands, in counts, where it is not `asinh_softening`."""
    asinh_softening_in_noise: float | None = Field(None, gt=0, le=1e6, examples=[12])
    """Softening in units of each band's noise, for bands without one in counts: training measures the noise
    on its own cutouts and notes the counts in `best.json`. `null`: 12. 10 to 30 did best, see
    docs/EXPERIMENTS.md."""
    clip_quantile: float | None = Field(0.997, gt=0.5, le=1, examples=[0.997])
    """Quantile of a cutout's (or an object's) pixels above which they are clipped; `null` clips nothing. The
    `asinh` normalisation never clips."""
    low_clip_quantile: float | None = Field(None, ge=0, lt=0.5, examples=[0.005])
    """Quantile of a cutout's (or an object's) pixels below which they are clipped; `null` clips nothing."""
    scale: Literal["std", "mad"] = Field("std", examples=["std"])
    """Centre and scale: `std`, mean and standard deviation; `mad`, median and 1.4826 times the median
    absolute deviation (the standard deviation where more than half of the pixels are equal). The `object`
    normalisation uses the scale alone, the `asinh` normalisation neither."""
    pad_to_px: int | None = Field(None, ge=1, le=512, examples=[64])
    """Side of the image after padding with zeros around the centre, in pixels; `null` pads nothing."""

    @property
    def measures_noise(self) -> bool:
        """Whether training has yet to measure softenings of the `asinh` normalisation."""
        return self.normalisation == "asinh" and self.asinh_softening is None

    @property
    def needs_noise(self) -> bool:
        """Whether nothing but a measurement can give these softenings."""
        return self.measures_noise and not self.asinh_softening_of_band

    @model_validator(mode="after")
    def _psf_needs_a_target(self) -> Self:
        if self.smoothing == "psf" and self.psf_target_fwhm_px is None:
            raise ValueError(
                "smoothing is psf, but psf_target_fwhm_px is missing; for example psf_target_fwhm_px: 4.5"
            )
        return self

    @model_validator(mode="after")
    def _softening_in_one_unit(self) -> Self:
        if self.asinh_softening_in_noise is None:
            return self
        for name in ("asinh_softening", "asinh_softening_of_band"):
            if getattr(self, name):
                raise ValueError(f"asinh_softening_in_noise and {name} are both given; remove one of them")
        if self.normalisation != "asinh":
            raise ValueError(
                f"asinh_softening_in_noise is given, but normalisation is {self.normalisation}; "
                "for example normalisation: asinh"
            )
        return self

    @model_validator(mode="after")
    def _normalisation_is_on(self) -> Self:
        if self.normalisation != "cutout" and not self.normalise:
            raise ValueError(
                f"normalisation is {self.normalisation}, but normalise is false; remove one of them"
            )
        return self
