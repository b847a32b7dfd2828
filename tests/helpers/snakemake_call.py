"""Snakemake, called many times: its modules are imported once, and each call is a process of its own."""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["snakemake.cli", "pydantic", "pandas"])


def call_snakemake(folder: Path, *arguments: str, timeout_s: float = 100) -> tuple[int | None, str]:
    """The exit code and all that Snakemake said, called in a folder."""
    with tempfile.NamedTemporaryFile(suffix=".txt") as said:
        process = _CONTEXT.Process(target=_call, args=(folder, arguments, said.name))
        process.start()
        process.join(timeout_s)
        if process.is_alive():
            process.kill()
            process.join()
        return process.exitcode, Path(said.name).read_text()


def _call(folder: Path, arguments: tuple[str, ...], output: str) -> None:
    from snakemake.cli import main

    stream = os.open(output, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(stream, number)
    os.chdir(folder)
    sys.argv[:] = ["snakemake", *arguments]
    main(list(arguments))
