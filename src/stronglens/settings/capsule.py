"""Settings of capsules: what a trained ensemble does not say of itself."""

from pydantic import Field

from stronglens.settings.base import Settings


class CapsuleSettings(Settings):
    """What is in a capsule beside the ensemble. Capsules are made on demand, by
    `snakemake results/capsules/nano.capsule`; a change here makes them
    anew, and with `pixel_scale_arcsec` the candidates page; nothing else.
    """

    pixel_scale_arcsec: float | None = Field(None, gt=0, le=60, examples=[0.2])
    """Side of a pixel of the data, for whoever uses the capsule and for the scale bar of the candidates page;
    `null`: not stated, and the bar is in pixels."""
    licence: str | None = Field(None, min_length=1, examples=["CC-BY-4.0"])
    """Licence of the weights. `null`: "not stated", or CC BY-NC 4.0 where a member starts from timm's
    published weights of ConvNeXt V2."""
    citation: str | None = Field(None, min_length=1, examples=["Doe et al. (2026)"])
    """What users of the capsule should cite; `null`: the citation file of this software."""
    drift: list[str] = Field([], examples=["[challenge]"])
    """Test sets of the config: how they differ from the training data is in the capsule. They are packed and
    predicted for it."""
    onnx: bool = False
    """Whether the ensemble is in the capsule as an ONNX graph too, from raw pixels to probability, which
    onnxruntime runs without PyTorch. Doubles the capsule's size; needs `pip install .[onnx]`."""
