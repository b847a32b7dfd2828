"""Settings of prediction with a trained member."""

from stronglens.settings.base import Settings


class PredictSettings(Settings):
    """How trained members are applied: to change it trains nothing again."""

    test_time_augmentation: bool = False
    """Show the network each sample in the eight symmetries of the square and take the mean of the eight
    probabilities, for validation, held-out and test objects alike. Prediction takes eight times as long."""
