"""Use of the executor from a clone that it was never installed from."""

import argparse
import importlib
from types import FrameType

from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry


def register(frame: FrameType | None) -> None:
    """Make the executor known to Snakemake, as if it had found it by itself; nothing happens if it has.

    Parameters
    ----------
    frame : frame
        Where a profile is being read. The parsers of the command line that wait for it, further up, get the
        executor's options; those were asked for before the profile was read.
    """
    registry = ExecutorPluginRegistry()
    name = __name__.partition(".")[0]
    if name.removeprefix(registry.module_prefix) in registry.plugins:
        return
    registry.register_plugin(name, importlib.import_module(name))
    plugin = registry.get_plugin(name.removeprefix(registry.module_prefix))
    parsers: list[argparse.ArgumentParser] = []
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, argparse.ArgumentParser) and caller not in parsers:
            parsers.append(caller)
            plugin.register_cli_args(caller, registry.get_plugin_type())
        frame = frame.f_back
