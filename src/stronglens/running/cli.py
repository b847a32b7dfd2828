"""The command line of a step: options from a class, a log, and errors a user can read."""

import io
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    CliApp,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from stronglens.running.errors import InputError, StoppedError
from stronglens.running.explain import Location, explain


class Command(BaseSettings):
    """Options of a step, one attribute an option; the class docstring is the text of `--help`.

    Environment variables are not read: a command line says all there is.
    """

    model_config = SettingsConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_parse_none_str="null",  # as in the config
        cli_enforce_required=True,
        cli_implicit_flags=True,
        cli_exit_on_error=False,  # it would print all options before the error
        nested_model_default_partial_update=True,
    )

    log: Path | None = None
    """File that receives the messages too, with times."""

    def kept_log(self) -> Path | None:
        """Where messages of tries that were cut short stay until the step is done, if it goes on after them.

        Snakemake removes a rule's log before it tries again; what stands here begins the next log.
        """
        return None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


CommandT = TypeVar("CommandT", bound=Command)


def run(command: type[CommandT], step: Callable[[CommandT], None], argv: Sequence[str] | None = None) -> int:
    """Parse a command line, do the step, and return the exit code.

    Parameters
    ----------
    command : type of Command
        The options.
    step : callable
        Takes the parsed options.
    argv : sequence of str, optional
        Arguments without the program's name; `sys.argv[1:]` if not given.

    Returns
    -------
    int
        0 after success, 1 after an error in the input or the program, 2 after a wrong command line, 143 if
        SIGTERM stopped the step.

    Raises
    ------
    SystemExit
        With code 0, after `--help`.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack a character of --help
        sys.stdout.reconfigure(errors="replace")
    try:
        options = CliApp.run(command, cli_args=list(sys.argv[1:] if argv is None else argv))
    except ValidationError as error:
        sys.stderr.write(explain(error.errors(), command, "command line", _option) + "\n")
        return 2
    except SettingsError as error:
        text = str(error).removeprefix("error parsing CLI: ")
        reason = f" ({error.__cause__})" if error.__cause__ else ""
        sys.stderr.write(f"command line: {text}{reason}; --help lists all options\n")
        return 2
    log = logging.getLogger("stronglens")
    log.setLevel(logging.INFO)
    handlers = [_message_handler()]
    log.addHandler(handlers[0])
    try:
        if options.log is not None:
            handlers.extend(_file_handlers(options.log, options.kept_log()))
            for handler in handlers[1:]:
                log.addHandler(handler)
        step(options)
    except StoppedError as stopped:
        log.warning("%s", stopped)
        return 128 + signal.SIGTERM
    except Exception as error:
        if message := _for_the_user(error):
            log.error("%s", message)
            return 1
        log.exception("%s failed", command.__name__)
        if "CUDA error" in str(error):
            log.error("the GPU works no more in this process; the same command goes on from what is saved")
        return 1
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()
    return 0


def _for_the_user(error: Exception) -> str:
    """What there is to do; nothing where the program is at fault."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}; give the job more"
    if type(error).__name__ == "OutOfMemoryError":  # PyTorch's, which most steps do without
        reason = ". ".join(str(error).split(". ")[:3])  # how much was asked for, and how much there is
        return f"not enough memory on the GPU: {reason}; take smaller batches, or let fewer jobs share it"
    return ""


def _option(location: Location) -> str:
    return "--" + ".".join(str(part).replace("_", "-") for part in location)


def _message_handler() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


def _file_handlers(path: Path, kept: Path | None) -> list[logging.Handler]:
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers: list[logging.Handler] = [logging.FileHandler(path, encoding="utf-8")]
        if kept is not None:
            # A log that is not empty has them already: somebody calls the step again by hand.
            if kept.is_file() and path.stat().st_size == 0:
                path.write_bytes(kept.read_bytes())
            handlers.append(_KeptLog(kept))
    except OSError as error:
        raise InputError(f"{path}: expected a log file that can be written, found: {error}") from error
    for handler in handlers:
        handler.setFormatter(formatter)
    return handlers


class _KeptLog(logging.Handler):
    """Opens its file for each message: the folder may be moved or removed while the step runs."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(self.format(record) + "\n")
        except OSError:
            self.handleError(record)
