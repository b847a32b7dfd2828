"""How the threads of a step behave towards other jobs on the same machine."""

import os


def wait_without_spinning() -> None:
    """Let threads that have nothing to do sleep instead of spin. To be called before PyTorch is imported.

    Threads of OpenMP spin while they wait for one another. Where other jobs want the same cores, nearly all
    the time goes into that. Measured: a training step of convnextv2_atto, two threads on two cores that
    other jobs kept busy: 41 and 25 images/s spinning, 238 and 111 sleeping. A user's own OMP_WAIT_POLICY
    wins.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
