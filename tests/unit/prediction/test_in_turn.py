"""Work that a thread does while the next is prepared."""

import pytest

from stronglens.prediction.in_turn import InTurn


def test_work_in_turn_keeps_its_order_and_raises_what_went_wrong() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        if number == 3:
            raise OSError("the disk is full")
        done.append(number)

    with InTurn(work) as call:
        for number in range(3):
            call(number)
    assert done == [0, 1, 2]
    with pytest.raises(OSError, match="full"), InTurn(work) as call:
        for number in (5, 3, 6, 7):
            call(number)
    assert done == [0, 1, 2, 5]
    with pytest.raises(OSError, match="full"), InTurn(work) as call:
        call(3)
