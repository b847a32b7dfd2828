"""The run of Snakemake that jobs are submitted for."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Run:
    """A process of Snakemake on this host.

    Attributes
    ----------
    pid : int
        Its process id.
    started : str
        When it started, in clock ticks since the host was booted: ids are used again.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The run with that process id, or None if it has ended."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # Behind the name, which may hold anything: the state first, the start as the 22nd field of all.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else cls(pid, fields[19])

    @classmethod
    def named(cls, name: str) -> Self | None:
        """The run of that name, if it was started on this host; others cannot be looked at from here."""
        host, pid, started = name.rsplit("_", 2) if name.count("_") >= 2 else ("", "", "")
        return cls(int(pid), started) if host == socket.gethostname() else None

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return Run.of(self.pid) == self

    @property
    def name(self) -> str:
        """A name that no other run of this working folder has."""
        return f"{socket.gethostname()}_{self.pid}_{self.started}"
