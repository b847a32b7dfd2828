"""Errors that are the user's to mend, as opposed to faults of the program."""


class InputError(Exception):
    """Something given to a step is not what it must be.

    The message names the file or setting, what was expected and what was found; a command line prints
    it without a traceback.
    """
