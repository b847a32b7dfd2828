"""Options that comparing estimated lens parameters with the truth and drawing both share."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from stronglens.running.cli import Command

if TYPE_CHECKING:
    from stronglens.scoring.lens_errors import Estimates


class EstimatesOptions(Command):
    """Options of a step that takes an ensemble's estimates and what is known of the lenses."""

    csv: Path
    """val_ens.csv or test_ens_labeled.csv of an ensemble; its description lies beside it."""
    packed: list[Path]
    """Folder of the packed data, with parameters.parquet. May be given several times."""
    parts: int | None = Field(None, ge=1)
    """Number of parts in which every folder of `--packed` is cut (`part_0`, `part_1`, …); without it the
    folders themselves are taken."""

    def read(self) -> "Estimates":
        """Read what the options name.

        Raises
        ------
        InputError
            See `stronglens.scoring.lens_errors.read_estimates`.
        """
        # --help need not wait for pyarrow and scikit-learn.
        from stronglens.formats.packed import parts_of  # noqa: PLC0415
        from stronglens.scoring.lens_errors import read_estimates  # noqa: PLC0415

        return read_estimates(self.csv, parts_of(self.packed, self.parts))
