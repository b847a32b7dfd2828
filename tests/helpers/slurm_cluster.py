"""The Slurm of one node that tests/cluster/up.sh starts."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SEEDS = ("42", "101", "202", "303", "404")


class SlurmCluster:
    """Looks at its jobs as a user would."""

    def jobs(self, folder: Path, *states: str) -> list[str]:
        """Ids of the jobs submitted from a folder, in those states or all that have not ended."""
        return [job_id for job_id, submitted_from in self._listed(*states) if submitted_from == folder]

    def cancel_below(self, folder: Path) -> None:
        """Cancel the jobs submitted from somewhere in a folder."""
        job_ids = [job_id for job_id, origin in self._listed() if origin.is_relative_to(folder)]
        if job_ids:
            subprocess.run(["scancel", *job_ids], timeout=120, check=False)  # some may have ended meanwhile

    def wait_for(self, folder: Path, n_jobs: int, *states: str, timeout_s: float = 60) -> list[str]:
        """Wait until a folder has so many jobs in those states, and give them."""
        deadline = time.monotonic() + timeout_s
        while len(jobs := self.jobs(folder, *states)) != n_jobs:
            assert time.monotonic() < deadline, f"expected {n_jobs} jobs {states}, found {jobs}"
            time.sleep(0.3)
        return jobs

    def describe(self, job_id: str) -> str:
        return self._ask("scontrol", "show", "job", job_id)

    def delete(self, job_id: str) -> None:
        self._ask("qdel", job_id)

    def end_walltime(self, job_id: str) -> None:
        """Let a running job's walltime be over in a second; Slurm looks every few."""
        self._ask("scontrol", "update", f"JobId={job_id}", "EndTime=now+1")

    def pids(self, job_id: str) -> list[int]:
        """The processes of a running job."""
        listed = self._ask("scontrol", "listpids", job_id)
        return [int(line.split()[0]) for line in listed.splitlines()[1:]]

    def lose_node(self) -> None:
        """The only node goes down, with all its jobs, and comes back."""
        (node,) = self._ask("sinfo", "--noheader", "--Node", "--partition=long", "--format=%N").split()
        self._ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
        # It may have come back by itself, and cannot then be told to.
        resume = ["scontrol", "update", f"NodeName={node}", "State=RESUME"]
        subprocess.run(resume, capture_output=True, timeout=120, check=False)

    @contextmanager
    def urgent_job(self) -> Iterator[None]:
        """Somebody's job that displaces all others for the block: it needs all cores of the node."""
        job_id = self._ask(
            "sbatch",
            "--parsable",
            "--partition=urgent",
            "--cpus-per-task=64",
            "--output=/dev/null",
            "--wrap=sleep 600",
        ).strip()
        try:
            yield
        finally:
            self._ask("scancel", job_id)

    def _listed(self, *states: str) -> list[tuple[str, Path]]:
        """Ids of jobs, and the folders that they were submitted from."""
        chosen = ",".join(states or ("PENDING", "RUNNING", "SUSPENDED", "COMPLETING"))
        listed = self._ask("squeue", "--noheader", "--states", chosen, "--format", "%i %Z")
        lines = [line.split(" ", 1) for line in listed.splitlines()]
        return [(job_id, Path(submitted_from)) for job_id, submitted_from in lines]

    def _ask(self, *command: str) -> str:
        # With the controller down, Slurm's commands wait for ever.
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
