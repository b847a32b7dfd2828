"""Ends of a step that are no faults of the program."""


class InputError(Exception):
    """Something given to a step is not what it must be.

    The message names the file or setting, what was expected and what was found; a command line prints
    it without a traceback.
    """


class StoppedError(Exception):
    """The step was told to end before it was done; what it has is saved."""
