"""Learning curves, looked at for what they show."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sidecar_examples import EXAMPLES, put
from stronglens.formats.member_files import TrainingResults
from stronglens.reporting.training_curves import PANELS, Training, draw_training, read_training
from stronglens.running.errors import InputError

EPOCHS = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "val_auc": [0.6, 0.9, 0.8],
        "val_loss": [0.7, 0.3, 0.4],
        "train_loss": [0.6, 0.5, 0.2],
        "lr": [1e-3, 5e-4, 1e-5],
    }
)
TRAININGS = [
    Training("nano", 42, EPOCHS, 2),
    Training("nano", 7, EPOCHS.iloc[:2], 1),
    Training("atto", 42, EPOCHS, 3),
]


def test_a_line_a_member_with_a_dot_at_the_epoch_that_was_kept() -> None:
    figure = draw_training(TRAININGS, "mixed")
    assert figure.get_suptitle().startswith("Ensemble mixed: training of 3 members")
    for axes, (column, name) in zip(figure.axes, PANELS, strict=True):
        assert axes.get_ylabel() == name
        lines, dots = axes.lines[::2], axes.lines[1::2]
        for one, line, dot in zip(TRAININGS, lines, dots, strict=True):
            assert np.asarray(line.get_xydata()).tolist() == one.epochs[["epoch", column]].to_numpy().tolist()
            kept = one.epochs.loc[one.epochs["epoch"] == one.best_epoch, column].item()
            assert np.asarray(dot.get_xydata()).tolist() == [[one.best_epoch, kept]]
    assert figure.axes[3].get_yscale() == "log"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["nano seed 42", "nano seed 7", "atto seed 42"]


def test_colour_says_the_seed_and_dashes_the_model() -> None:
    one, other_seed, other_model = draw_training(TRAININGS).axes[0].lines[::2]
    assert (one.get_color() == other_model.get_color()).all()  # type: ignore[union-attr]
    assert (one.get_color() != other_seed.get_color()).any()  # type: ignore[union-attr]
    assert one.get_linestyle() == other_seed.get_linestyle() != other_model.get_linestyle()


def test_a_rate_of_zero_has_no_logarithm() -> None:
    frozen = Training("nano", 1, EPOCHS.assign(lr=[0.0, 1.0, 1.0]), 1)
    assert draw_training([frozen]).axes[3].get_yscale() == "linear"


def test_no_member_is_said() -> None:
    figure = draw_training([])
    assert [text.get_text() for text in figure.texts] == ["No member of this ensemble was trained here."]


def test_a_log_is_read_with_what_was_kept(tmp_path: Path) -> None:
    put(tmp_path / "results.json", EXAMPLES[TrainingResults])
    EPOCHS.to_csv(tmp_path / "training_log.csv", index=False)
    found = read_training(tmp_path)
    assert (found.model, found.seed, found.best_epoch) == ("nano", 42, 3)
    assert found.epochs["val_auc"].tolist() == [0.6, 0.9, 0.8]
    EPOCHS.drop(columns=["lr", "epoch"]).to_csv(tmp_path / "training_log.csv", index=False)
    with pytest.raises(InputError, match=r"training_log\.csv: expected columns epoch, lr, found none"):
        read_training(tmp_path)
    (tmp_path / "training_log.csv").unlink()
    with pytest.raises(InputError, match=r"training_log\.csv: expected the log of a training"):
        read_training(tmp_path)
