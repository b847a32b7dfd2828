"""Why a file gives no cutout."""


class Rejected(Exception):  # noqa: N818 - one bad file among a million is no error
    """A file that gives no cutout.

    Parameters
    ----------
    kind : str
        What is wrong, in words that are the same for all such files.
    detail : str
        The particulars of this one.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind, detail)

    def __str__(self) -> str:
        kind, detail = self.args
        return f"{kind} ({detail})" if detail else kind


def kind_of(reason: str) -> str:
    """The kind of a rejection, from its text."""
    return reason.partition(" (")[0]
