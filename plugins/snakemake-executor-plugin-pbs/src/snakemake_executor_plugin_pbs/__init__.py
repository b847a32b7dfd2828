"""Runs the jobs of Snakemake on a PBS server: Torque, OpenPBS, PBS Pro, and Slurm with Torque's commands."""

from dataclasses import dataclass, field

from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

from .executor import Executor
from .request import Flavour

__all__ = ["Executor", "ExecutorSettings", "common_settings"]


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    """What a profile sets: `pbs-flavour`, `pbs-logdir`, `pbs-stuck-minutes`."""

    flavour: str = field(
        default="auto",
        metadata={
            "help": "Which PBS this is; auto asks `qstat --version`.",
            "choices": ["auto", *Flavour],
        },
    )
    logdir: str = field(
        default="logs/pbs",
        metadata={"help": "Folder for the logs of jobs, relative to the working folder, without blanks."},
    )
    stuck_minutes: int = field(
        default=60,
        metadata={"help": "For how long a job is waited for that the server says can never run, or holds."},
    )


common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=True,
    auto_deploy_default_storage_provider=False,
)
