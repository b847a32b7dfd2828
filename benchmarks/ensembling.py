"""From five members' predictions to a submission; the test set's ensemble against a plain pandas script."""

import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import harness
import pandas as pd
from harness import Way
from made_data import write_member_predictions, write_packed
from watched import Watched, run_step, run_watched

N_MEMBERS = 5

_STEP = "the step: ensemble of the test set"
_PLAIN = "plain pandas script: the same table, no checks"


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv, n_rounds=3)
    n_rows = options.pick(tiny=100, short=1_000_000, full=1_000_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packed = write_packed(folder / "packed", n_rows, pixels=False)
        members = [
            write_member_predictions(folder / f"member_{seed}", packed, seed) for seed in range(N_MEMBERS)
        ]
        watched: dict[str, list[Watched]] = {}

        def ours() -> None:
            for step, found in decide(folder, packed, members):
                watched.setdefault(step, []).append(found)

        ours()  # writes the threshold
        ways = [
            Way(_STEP, lambda: combine_test(folder, packed, members), n_rows),
            Way(_PLAIN, lambda: combine_plainly(folder, packed, members), n_rows),
            Way("limit: reading the tables' bytes", lambda: read_bytes(members), n_rows),
        ]
        result = harness.race(ways, options.n_rounds)
        # Or the two would not be worth comparing; sums in another order differ in their last digits.
        one, other = (pd.read_csv(folder / name) for name in ("test/test_ens.csv", "plain.csv"))
        pd.testing.assert_frame_equal(one, other, rtol=1e-9)
        for _ in range(options.n_rounds - 1):
            ours()
    harness.print_title(
        f"Ensembling: {n_rows:,} rows x {N_MEMBERS} members", options, ["pyarrow", "pandas", "scikit-learn"]
    )
    harness.print_race(result, "rows")
    seconds = {step: statistics.median(one.seconds for one in found) for step, found in watched.items()}
    memory = {step: max(one.private_mb for one in found) for step, found in watched.items()}
    harness.print_table(
        ["step", "s (median)", "private memory, MB"],
        [[step, f"{seconds[step]:.1f}", f"{memory[step]:.0f}"] for step in watched],
    )
    needed = sum(seconds.values()) - seconds["ensemble val"]
    told = f"{needed:.1f} s"
    harness.print_goal("ensemble, threshold and submission in 20 s", told, met=needed < 20)
    most = max(memory.values())
    ratio = result.ratio(_STEP, _PLAIN)
    harness.print_goal("no slower than the plain script", f"{ratio:.2f} x as fast", met=ratio >= 1)
    harness.print_goal("within 2 GB", f"{most:.0f} MB", met=most < 2000)
    return 0


def decide(folder: Path, packed: Path, members: Sequence[Path]) -> Iterator[tuple[str, Watched]]:
    """Run the steps after prediction as a user does; give the name of each, and what it took."""
    val, test = folder / "val", folder / "test"
    options = ["--which", "val", "--out-dir", val]
    yield "ensemble val", run_step("ensemble.py", *_inputs(packed, members), *options)
    yield "threshold", run_step("threshold.py", "--ensemble-csv", val / "val_ens.csv", "--out-dir", val)
    yield "ensemble test", combine_test(folder, packed, members)
    yield (
        "submission",
        run_step(
            "submission.py",
            *("--ensemble-csv", test / "test_ens.csv", "--packed", packed, "--settings.ensemble", "bench"),
            *("--out", folder / "submission.csv", "--provenance", folder / "submission.json"),
        ),
    )


def combine_test(folder: Path, packed: Path, members: Sequence[Path]) -> Watched:
    """The step, with all its checks."""
    options = ["--threshold", folder / "val" / "threshold.txt", "--out-dir", folder / "test"]
    return run_step("ensemble.py", *_inputs(packed, members), "--which", "test", *options)


def combine_plainly(folder: Path, packed: Path, members: Sequence[Path]) -> Watched:
    """The script beside this one, as a process too."""
    script = Path(__file__).with_name("plain_ensemble.py")
    threshold = (folder / "val" / "threshold.txt").read_text().strip()
    arguments = [packed, threshold, folder / "plain.csv", *members]
    return run_watched([sys.executable, str(script), *map(str, arguments)])


def _inputs(packed: Path, members: Sequence[Path]) -> list[str | Path]:
    return ["--packed", packed, *(word for member in members for word in ("--predictions", member))]


def read_bytes(members: Sequence[Path]) -> None:
    for member in members:
        (member / "pred_test.csv").read_bytes()


if __name__ == "__main__":
    sys.exit(main())
