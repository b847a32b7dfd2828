"""Event files of TensorBoard, read back."""

import struct
from pathlib import Path


def curves_in(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """All points of all event files in a folder, in the order of writing: (step, value) of each curve."""
    from tensorboardX.proto.event_pb2 import Event

    curves: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content = path.read_bytes()
        while content:
            (size,) = struct.unpack("<Q", content[:8])  # then a checksum of 4 bytes, the event, another
            event = Event.FromString(content[12 : 12 + size])
            for value in event.summary.value:
                curves.setdefault(value.tag, []).append((event.step, value.simple_value))
            content = content[16 + size :]
    return curves
