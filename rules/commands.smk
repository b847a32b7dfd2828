"""What commands are made of: the code of a step and its settings as parameters, options quoted for the shell."""

import json

from stronglens.running.fingerprint import fingerprint, in_words

if not {"conda", "apptainer"} & DEPLOYMENTS:
    # A node's PATH need not hold the environment that snakemake was started from; a container may see it and be
    # unable to run it. The path is quoted for the shell, and its braces for Snakemake.
    bin_folder = shlex.quote(str(Path(sys.executable).parent)).replace("{", "{{").replace("}", "}}")
    shell.prefix(f"set -euo pipefail; export PATH={bin_folder}:$PATH; ")


def in_clone(path):
    """A file of the clone, relative to the working folder where it can be, so that a moved clone reruns nothing."""
    moves_along = CLONE == Path.cwd() and not IS_MODULE
    return str(path.relative_to(CLONE)) if moves_along else str(path)


def script_path(name):
    """The script of a step, as an input: where it is, not when it was changed."""
    path = in_clone(SCRIPTS / name)
    # Of a function's result, braces are not read as wildcards.
    return lambda wildcards: ancient(path)


def code_of(name):
    """What a script and all library modules that it imports compute, as parameters: a value for each module, so that
    a change reruns the step, and a dry run names the module."""
    return in_words(fingerprint(SCRIPTS / name))


def as_parameter(settings):
    """Settings as the one parameter of a rule: JSON with keys in fixed order.

    Snakemake compares parameters as a set of values without names; one string says all, and which is which.
    """
    if hasattr(settings, "model_dump"):
        settings = settings.model_dump(mode="json")
    return json.dumps(settings, sort_keys=True, ensure_ascii=False)


def settings_option(settings, option="settings"):
    """`--settings JSON`, quoted for the shell."""
    return f"--{option} {shlex.quote(as_parameter(settings))}"


def repeated(option, paths):
    """`--option a --option b`, each a path, quoted for the shell."""
    return " ".join(f"--{option} {shlex.quote(at(path))}" for path in paths)


def named(option, paths):
    """`--option NAME=PATH` for each, quoted for the shell."""
    return " ".join(f"--{option} {shlex.quote(f'{name}={at(path)}')}" for name, path in paths.items())


def packed_options(testset):
    """Where a test set is, packed: the held-out one with the labelled data, another in a folder a part."""
    if testset == HELDOUT:
        return repeated("packed", [LABELLED])
    return f"{repeated('packed', [f'results/buckets/{testset}'])} --parts {n_parts(testset)}"


# The ways to run a step that were measured on a device. In the text of a command, which Snakemake fills in, and compares:
# it must stay the same, or all members are trained again.
CHOICES = shlex.quote(at("results/choices")).replace("{", "{{").replace("}", "}}")


def simulated_option():
    return ["--simulated"] if CONFIG.simulate else []


def member_settings(wildcards):
    """The settings of a member, as a parameter."""
    return as_parameter(CONFIG.member_settings(wildcards.model, int(wildcards.seed)))
