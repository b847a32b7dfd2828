"""The command line of a step: options from a class, a log, and errors a user can read."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliApp, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from stronglens.errors import InputError
from stronglens.settings.base import explain


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
        cli_enforce_required=True,
        cli_implicit_flags=True,
        nested_model_default_partial_update=True,
    )

    log: Path | None = None
    """File that receives the messages too, with times."""

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
        0 after success, 1 after an error in the input or the program, 2 after a wrong command line.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        options = CliApp.run(command, cli_args=arguments)
    except ValidationError as error:
        sys.stderr.write(explain(error, command, "command line") + "\n")
        return 2
    except SettingsError as error:
        sys.stderr.write(f"command line: {error}\n")
        return 2
    log = logging.getLogger("stronglens")
    handlers = _start_log(log, options.log)
    try:
        step(options)
    except InputError as error:
        log.error("%s", error)
        return 1
    except Exception:
        log.exception("%s failed", command.__name__)
        return 1
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()
    return 0


def _start_log(log: logging.Logger, path: Path | None) -> list[logging.Handler]:
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    handlers[0].setFormatter(logging.Formatter("%(message)s"))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Snakemake keeps a log after a failure; the next try continues it, so that both stand there.
        handlers.append(logging.FileHandler(path, encoding="utf-8"))
        formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        handlers[1].setFormatter(formatter)
    log.setLevel(logging.INFO)
    for handler in handlers:
        log.addHandler(handler)
    return handlers
