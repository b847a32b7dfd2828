"""Make a checkpoint that was trained elsewhere a member: rule `import_member`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.running.cli import Command, run
from stronglens.settings.member import MemberSettings


class ImportMember(Command):
    """Make a checkpoint that was trained elsewhere a member of an ensemble."""

    checkpoint: Path
    """State dict with timm's names, or with those of the original pipeline (the ConvNeXt V2 paper's code)."""
    out_dir: Path
    """Folder for best.pt and best.json."""
    size_px: int
    """Side of the cutouts before padding, in pixels."""
    model: str = "by_hand"
    """Name of the model, for the records."""
    seed: int = 42
    """Number of the member within its model, for the records."""
    settings: MemberSettings = MemberSettings()
    """The settings that the checkpoint was trained with; network, bands and preprocess matter."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(ImportMember, _import_member, argv)


def _import_member(options: ImportMember) -> None:
    from stronglens.networks.member_import import import_member  # noqa: PLC0415 - --help need not wait for torch

    import_member(
        options.checkpoint,
        options.out_dir,
        options.settings,
        model=options.model,
        seed=options.seed,
        size_px=options.size_px,
    )


if __name__ == "__main__":
    sys.exit(main())
