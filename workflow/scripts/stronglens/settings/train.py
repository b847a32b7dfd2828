"""Settings of the training of one member."""

from typing import Literal, Self

from pydantic import Field, model_validator

from stronglens.settings.base import Settings


class TrainSettings(Settings):
    """Optimiser, schedule, early stopping, augmentation."""

    epochs: int = Field(20, ge=1, le=10_000, examples=[80])
    """Passes over the training split at most."""
    batch_size: int = Field(128, ge=1, le=65_536, examples=[128])
    """Samples in one step of the optimiser (AdamW)."""
    lr: float = Field(3.5e-4, gt=0, le=10, examples=[3.5e-4])
    """Highest learning rate."""
    weight_decay: float = Field(1e-4, ge=0, le=10, examples=[1e-4])
    """Decoupled weight decay of AdamW, on weight matrices and kernels and on all else alike."""
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
    augment: bool = True
    """Turn and mirror each training image at random: the eight symmetries of the square."""
    augment_noise: float = Field(0.0, ge=0, le=10, examples=[0.05])
    """Standard deviation of gaussian noise added to training images, in units of the normalised image."""
    augment_gamma: float = Field(0.0, ge=0, lt=1, examples=[0.2])
    """Training images x become sign(x) |x|^g with g drawn from 1 - this to 1 + this: both signs survive."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", examples=["auto"])
    """Arithmetic of the network: `auto` takes bfloat16 on a GPU that has it and float32 elsewhere."""
    train_fraction: float = Field(1.0, gt=0, le=1, examples=[0.1])
    """Share of the training split's objects that is used, for quick looks."""
    val_fraction: float = Field(1.0, gt=0, le=1, examples=[0.1])
    """Share of the validation split's objects that is used while training."""
    test_fraction: float = Field(1.0, gt=0, le=1, examples=[0.1])
    """Share of the test split's objects that is scored after training, for `results.json`."""

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs ({self.warmup_epochs}) must be less than epochs ({self.epochs})")
        return self
