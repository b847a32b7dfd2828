"""Settings of the training of one member."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from stronglens.settings.base import Settings

Precision = Literal["auto", "float32", "tf32", "bf16", "fp16"]


class TrainSettings(Settings):
    """Optimiser, schedule, early stopping, augmentation, regularisation."""

    epochs: int = Field(20, ge=1, le=10_000, examples=[80])
    """Passes over the training split at most."""
    batch_size: int = Field(128, ge=1, le=65_536, examples=[128])
    """Samples in one step of the optimiser."""
    optimiser: Literal["adamw", "muon"] = Field(
        "adamw", examples=["muon"], exclude_if=lambda value: value == "adamw"
    )
    """`adamw`, or `muon`: kernels and matrices take steps of the same size in all directions, everything else
    those of AdamW; learns in fewer steps, each of which takes longer on small batches."""
    lr: float = Field(3.5e-4, gt=0, le=10, examples=[3.5e-4])
    """Highest learning rate."""
    layer_decay: float | None = Field(
        None, ge=0, le=1, examples=[0.7], exclude_if=lambda value: value is None
    )
    """For networks that others have trained: each layer learns at this times the rate of the layer after it,
    the head (the last layer and what timm counts with it) at the full rate. 0 freezes all but the head; it
    saves no time. `null`: one rate for all."""
    weight_decay: float = Field(1e-4, ge=0, le=10, examples=[1e-4])
    """Decoupled weight decay, on weight matrices and kernels and on all else alike."""
    schedule: Literal["constant", "cosine", "step", "exponential", "plateau"] = Field(
        "cosine", examples=["exponential"]
    )
    """How the learning rate falls: `constant`; `cosine` or `exponential`, from `lr` to `lr_floor` over all
    epochs; `step`, times `step_factor` every `step_epochs`; `plateau`, times `plateau_factor` when the
    monitored value has not improved for more than `plateau_patience` epochs."""
    warmup_epochs: float = Field(0.0, ge=0, examples=[1])
    """Epochs in which the learning rate rises linearly from 0 to `lr` before the schedule begins."""
    lr_floor: float = Field(0.0, ge=0, le=1, examples=[0.1])
    """Lowest learning rate as a fraction of `lr`; the schedule never goes below."""
    step_epochs: int = Field(10, ge=1, examples=[10])
    """Epochs between two drops of the `step` schedule."""
    step_factor: float = Field(0.1, gt=0, lt=1, examples=[0.1])
    """Factor of each drop of the `step` schedule."""
    plateau_factor: float = Field(0.5, gt=0, lt=1, examples=[0.5])
    """Factor of each drop of the `plateau` schedule."""
    plateau_patience: int = Field(3, ge=0, examples=[3])
    """Epochs without improvement that the `plateau` schedule lets pass."""
    plateau_cooldown: int = Field(0, ge=0, examples=[0])
    """Epochs after a drop of the `plateau` schedule that are not counted."""
    monitor: Literal["auc", "loss"] = Field("auc", examples=["auc"])
    """Which validation figure decides on the best epoch, on stopping early and on plateaus: the area under
    the ROC curve (higher is better) or the loss (lower is better), over samples."""
    min_delta: float = Field(0.0, ge=0, examples=[1e-4])
    """Smallest change of the monitored figure that counts as an improvement."""
    patience: int | None = Field(20, ge=1, examples=[20])
    """Epochs without improvement after which training stops; `null` never stops early."""
    crop_px: int | None = Field(None, ge=8, le=1024, examples=[29], exclude_if=lambda value: value is None)
    """Side of the central square that the first epochs see of each training image, in pixels: such an epoch
    takes a share of the time. The last epochs, and all that looks at the network, see whole images. `null`,
    the default: whole images from the start. What it gained: docs/EXPERIMENTS.md."""
    crop_share: float = Field(0.6, gt=0, lt=1, examples=[0.6], exclude_if=lambda value: value == 0.6)
    """Share of the epochs that see `crop_px` pixels, rounded down to whole epochs. Patience begins after
    them."""
    augment: bool = True
    """Turn and mirror each training image at random: the eight symmetries of the square."""
    augment_any_angle: bool = Field(False, exclude_if=lambda value: not value)
    """Turn by any angle, not by quarters alone; needs `augment`. Pixels are interpolated between the four
    nearest, which smooths noise a little."""
    augment_shift_px: float = Field(0.0, ge=0, le=16, examples=[1.0], exclude_if=lambda value: value == 0)
    """Shift training images along each axis by up to so many pixels; needs `augment`."""
    augment_noise: float = Field(0.0, ge=0, le=10, examples=[0.05])
    """Standard deviation of gaussian noise added to training images, in units of the normalised image."""
    augment_gamma: float = Field(0.0, ge=0, lt=1, examples=[0.2])
    """Training images x become sign(x) |x|^g with g drawn from 1 - this to 1 + this: both signs survive."""
    band_dropout: float = Field(0.0, ge=0, lt=1, examples=[0.1])
    """Chance that a band of a stack is set to 0 in a training image, each band independently, but never the
    last one. Off by default; what it gained: docs/EXPERIMENTS.md."""
    skip_incomplete: bool = False
    """Leave objects that lack one of a stack's bands out of the training split. Validation, test and
    prediction keep them, with 0 in place of the band. Off by default; what it gained: docs/EXPERIMENTS.md."""
    mixup_alpha: float = Field(0.0, ge=0, le=100, examples=[0.2])
    """Mixup: training images and labels become l (one) + (1 - l) (another), l drawn from Beta(this, this); 0
    mixes nothing. Where `cutmix_alpha` is set too, each batch has one of both, with equal chances. Off by
    default; what it gained: docs/EXPERIMENTS.md."""
    cutmix_alpha: float = Field(0.0, ge=0, le=100, examples=[1.0])
    """CutMix: a rectangle of each training image comes from another, and so does its share of the label; 1 -
    the share of the area is drawn from Beta(this, this). Off by default; what it gained:
    docs/EXPERIMENTS.md."""
    label_smoothing: float = Field(0.0, ge=0, lt=1, examples=[0.05])
    """Labels 0 and 1 become e / 2 and 1 - e / 2 in the training loss, e being this. Off by default; what it
    gained: docs/EXPERIMENTS.md."""
    balance: Literal["none", "class", "domain", "bucket"] = Field("none", examples=["bucket"])
    """Weights of samples in the training loss, so that all classes, all domains, or all buckets (classes
    within domains) weigh the same in sum; the mean weight is 1. Validation is not weighted. `none` by
    default; what it gained: docs/EXPERIMENTS.md."""
    domain_weight: float = Field(0.0, ge=0, le=10, examples=[0.3], exclude_if=lambda value: value == 0)
    """Weight of a second loss: the network also learns which domain an object is from. The outputs for that
    are dropped after training. 0, the default: off; what it gained: docs/EXPERIMENTS.md."""
    clip_grad_norm: float | None = Field(None, gt=0, le=1e6, examples=[1.0])
    """Scale the gradient down to this norm (over all weights) where it is larger; `null`, the default, never
    does. What it gained: docs/EXPERIMENTS.md."""
    ema_decay: float | None = Field(None, gt=0, lt=1, examples=[0.999])
    """Exponential moving average of the weights: after each step average = d (average) + (1 - d) (weights),
    where d rises to this as 1 - step^(-2/3), so that early weights are forgotten. Validation scores,
    `best.pt` and `last.pt` are those of the average. `null`, the default, averages nothing; what it gained:
    docs/EXPERIMENTS.md."""
    precision: Precision = Field("auto", examples=["auto"])
    """What the network computes in: `float32` is IEEE single precision everywhere; `tf32` rounds the factors
    of its products to 10 bits on a GPU that can, and is `float32` elsewhere; `bf16` and `fp16` take these
    types where autocast does. `auto` is `float32` on a CPU; on a GPU the faster of `bf16` and `tf32`, or of
    `float32` and `fp16` where it has no bfloat16, found by measuring as training begins; the first of the two
    where training is short, and with `deterministic`. `best.json` holds what it was; predictions on such a
    card take the same."""
    deterministic: bool = Field(False, examples=[True])
    """On a GPU, training and prediction take only algorithms that give the same bytes each time, on the same
    card with the same libraries; training that is cut short and goes on included. Without, bytes may differ
    on a GPU, and `best.json` says so: `same_bytes_again`. A CPU gives the same bytes anyway, with the same
    number of threads."""
    train_fraction: float = Field(1.0, gt=0, le=1, examples=[0.1])
    """Share of the training split's objects that is used, for quick looks."""
    val_fraction: float = Field(1.0, gt=0, le=1, examples=[0.1])
    """Share of the validation split's objects that is used while training."""
    test_fraction: float = Field(1.0, gt=0, le=1, examples=[0.1])
    """Share of the test split's objects that is scored after training, for `results.json`."""

    # Not in records, parameters of rules or states of trainings: it changes no result.
    tracker: Literal["none", "tensorboard"] = Field("none", exclude=True, examples=["tensorboard"])
    """`tensorboard` writes the curves of a training for TensorBoard while it runs, into the member's folder;
    needs `pip install ".[tracker]"`. To change it trains nothing again: see docs/results.md."""

    @field_validator("precision", mode="before")
    @classmethod
    def _short_name(cls, value: Any) -> Any:
        """Members of earlier versions have the long ones in their files."""
        return {"bfloat16": "bf16", "float16": "fp16"}.get(value, value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _moves_are_augmentation(self) -> Self:
        if not self.augment and (self.augment_any_angle or self.augment_shift_px > 0):
            raise ValueError("augment_any_angle and augment_shift_px need augment: true")
        return self

    @model_validator(mode="after")
    def _crops_have_a_size(self) -> Self:
        if self.crop_px is None and self.crop_share != type(self).model_fields["crop_share"].default:
            raise ValueError("crop_share: nothing is cropped without crop_px; give it, or leave both out")
        return self

    @model_validator(mode="after")
    def _crops_hold_what_was_mixed(self) -> Self:
        if self.crop_px is not None and self.cutmix_alpha > 0:
            raise ValueError(
                "crop_px: a crop need not hold the shares of both images that CutMix counted; leave it out, "
                "or cutmix_alpha"
            )
        return self

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs ({self.warmup_epochs}) must be less than epochs ({self.epochs})")
        return self
