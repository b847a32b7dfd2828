"""From five members' predictions to a submission: ensembles, threshold, submission, against pandas."""

import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import harness
import pandas as pd
from harness import Way
from made_data import write_member_predictions, write_packed
from watched import Watched, run_step

N_MEMBERS = 5


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

        ways = [
            Way("ensemble (val and test), threshold, submission", ours, n_rows),
            Way("pandas: read, mean over bands, mean over members", lambda: average(members), n_rows),
            Way("limit: reading the tables' bytes", lambda: read_bytes(members), n_rows),
        ]
        result = harness.race(ways, options.n_rounds)
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
    harness.print_goal("within 2 GB", f"{most:.0f} MB", met=most < 2000)
    return 0


def decide(folder: Path, packed: Path, members: Sequence[Path]) -> Iterator[tuple[str, Watched]]:
    """Run the steps after prediction as a user does; give the name of each, and what it took."""
    common = ["--packed", packed, *(word for member in members for word in ("--predictions", member))]
    val, test = folder / "val", folder / "test"
    threshold = val / "threshold.txt"
    yield "ensemble val", run_step("ensemble.py", *common, "--which", "val", "--out-dir", val)
    yield "threshold", run_step("threshold.py", "--ensemble-csv", val / "val_ens.csv", "--out-dir", val)
    yield (
        "ensemble test",
        run_step("ensemble.py", *common, "--which", "test", "--threshold", threshold, "--out-dir", test),
    )
    yield (
        "submission",
        run_step(
            "submission.py",
            *("--ensemble-csv", test / "test_ens.csv", "--packed", packed, "--settings.ensemble", "bench"),
            *("--out", folder / "submission.csv", "--provenance", folder / "submission.json"),
        ),
    )


def average(members: Sequence[Path]) -> None:
    """As users write it: no checks, no threshold, no submission."""
    tables = [pd.read_csv(member / "pred_test.csv") for member in members]
    pd.concat([table.groupby("object")["prob"].mean() for table in tables], axis=1).agg(
        ["mean", "std"], axis=1
    )


def read_bytes(members: Sequence[Path]) -> None:
    for member in members:
        (member / "pred_test.csv").read_bytes()


if __name__ == "__main__":
    sys.exit(main())
