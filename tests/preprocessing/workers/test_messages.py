import tracemalloc
from multiprocessing import Pipe
from threading import Thread

import numpy as np

from preprocessing.workers import messages


def test_arrays_arrive_as_they_were_and_are_held_once() -> None:
    ours, theirs = Pipe()
    crops = [np.full((100, 100, 3), k, np.uint8) for k in range(100)]
    size = sum(crop.nbytes for crop in crops)
    tracemalloc.start()
    sender = Thread(target=messages.send, args=(theirs, ("faces", crops, crops[1][:, ::2])))
    sender.start()
    words, found, part = messages.receive(ours)
    sender.join()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert words == "faces"
    np.testing.assert_array_equal(found, crops)
    np.testing.assert_array_equal(part, crops[1][:, ::2])
    found[0][:] = 1  # as in the process that they come from
    assert peak < 1.2 * size, "a pickle of the whole would add as much, on either side"
    ours.close()
    theirs.close()
