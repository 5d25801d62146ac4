"""Values between processes, whose arrays travel by themselves.

Pickled as a whole, the crops of a long video would be held twice on either side.
"""

import io
import pickle
from multiprocessing.connection import Connection
from typing import Any

PROTOCOL = 5  # with buffers out of band, PEP 574


def send(pipe: Connection, value: object) -> None:
    """Send a value: how many arrays it has, itself without them, and one after the other.

    Raises:
        MemoryError: There is none; nothing was sent.
    """
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(value, protocol=PROTOCOL, buffer_callback=buffers.append)
    pipe.send_bytes(str(len(buffers)).encode())
    pipe.send_bytes(data)
    for buffer in buffers:
        with buffer.raw() as array:
            pipe.send_bytes(array)


def receive(pipe: Connection, unpickler: type[pickle.Unpickler] = pickle.Unpickler) -> Any:  # noqa: ANN401
    """Return what `send` sent.

    Args:
        pipe: Its other end.
        unpickler: Rebuilds the value.

    Raises:
        EOFError: The sender is gone.
    """
    count = int(pipe.recv_bytes())
    data = io.BytesIO(pipe.recv_bytes())
    buffers = [bytearray(pipe.recv_bytes()) for _ in range(count)]  # arrays in them can be written
    return unpickler(data, buffers=buffers).load()
