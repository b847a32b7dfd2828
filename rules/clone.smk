"""Where this workflow is: its own folder, also where another workflow uses it as a module."""

import io
import os
import shlex
import subprocess
import sys
import tarfile
import tempfile


def folder_of(rules):
    """The folder on disk above that of the rules.

    Of a module that is named with `gitfile`, Snakemake reads the rules alone. Scripts and the library run from files:
    those of the commit are written once, into a folder of its own.
    """
    if isinstance(rules, Path):
        return rules.parent
    repository, revision, path = rules
    commit = git_output(repository, "rev-parse", f"{revision}^{{commit}}").decode().strip()
    folder = Path(".snakemake/stronglens", commit).absolute()
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
            with tarfile.open(fileobj=io.BytesIO(git_output(repository, "archive", commit))) as files:
                files.extractall(Path(aside, "files"), filter="data")
            try:
                Path(aside, "files").rename(folder)
            except OSError:  # another run was first
                if not folder.exists():
                    raise
    return (folder / path).parent


def git_output(repository, *arguments):
    command = ["git", "-C", str(repository), *arguments]
    # Variables such as GIT_DIR name another repository, where a hook of it runs this.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(command, capture_output=True, env=environment)
    if done.returncode:
        refuse(f"{shlex.join(command)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


CLONE = folder_of(place_of_rules())
SCRIPTS = CLONE / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from stronglens.configuring.yaml_keys import read_yaml
from stronglens.running.errors import InputError

# The path of the clone may hold braces, which Snakemake would fill in.
ENVIRONMENT = str(CLONE / "envs" / "stronglens.yaml").replace("{", "{{").replace("}", "}}")


def default_config():
    """The config that is read where none is given: the user's own, in the working folder or in the clone, or else
    the small simulated one."""
    own = [folder / "config" / "local.yaml" for folder in ([] if IS_MODULE else [Path.cwd()]) + [CLONE]]
    path = next((path for path in own if path.exists()), CLONE / "config" / "config.yaml")
    try:
        read_yaml(path)  # Snakemake would say neither which file nor which line
    except InputError as error:
        refuse(error)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
