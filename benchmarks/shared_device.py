"""Several trainings on one device at once: whether they do more together than one alone."""

import multiprocessing
import sys
import time
from collections.abc import Sequence
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import harness
from networks_here import Epochs, compile_anew, our_network, random_samples, timm_network

from stronglens.networks.device import choose_device
from stronglens.networks.precision import autocast_dtype
from stronglens.settings.train import TrainSettings

BATCH = 128


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv, n_rounds=3)
    counts = options.pick(tiny=(1, 2), short=(1, 2, 4), full=(1, 2, 3, 4, 6))
    batch = options.pick(tiny=8, short=BATCH, full=BATCH)
    large = 100 if choose_device(options.device).type == "cuda" else 1
    n_steps = options.pick(tiny=2, short=10 * large, full=100 * large)
    rates = {count: _rates(count, options, batch, n_steps) for count in counts}
    harness.print_title(
        f"Trainings that share a device: {options.network}, batch {batch}", options, ["torch", "timm"]
    )
    alone = rates[1]
    harness.print_table(
        ["trainings", "n", "images/s together (median)", "times one alone"],
        [
            [
                str(count),
                str(len(found)),
                f"{sorted(found)[len(found) // 2]:,.0f}",
                f"{sorted(found)[len(found) // 2] / sorted(alone)[len(alone) // 2]:.2f}",
            ]
            for count, found in rates.items()
        ],
    )
    return 0


def _rates(count: int, options: harness.Options, batch: int, n_steps: int) -> list[float]:
    """Images per second of so many trainings together, round by round: the slowest says when all are done."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(count)
    told: Queue[list[float]] = context.Queue()
    trainings = [
        context.Process(target=_train, args=(options, batch, n_steps, start, told)) for _ in range(count)
    ]
    for training in trainings:
        training.start()
    seconds = [told.get(timeout=900) for _ in trainings]
    for training in trainings:
        training.join()
    return [count * n_steps * batch / max(of_round) for of_round in zip(*seconds, strict=True)]


def _train(
    options: harness.Options, batch: int, n_steps: int, start: Barrier, told: "Queue[list[float]]"
) -> None:
    device = choose_device(options.device)
    dtype = autocast_dtype(device, "auto")
    network = our_network(options.network, timm_network(options.network, device), device)
    forward, _ = compile_anew(network, batch, device, dtype, learn=True, size=options.size)
    samples = random_samples(n_steps * batch, device, dtype)
    epochs = Epochs(network, forward, dtype, TrainSettings(batch_size=batch), samples)
    seconds = []
    for _ in range(options.n_rounds):
        start.wait(900)
        started = time.perf_counter()
        epochs.run()
        seconds.append(time.perf_counter() - started)
    told.put(seconds)


if __name__ == "__main__":
    sys.exit(main())
