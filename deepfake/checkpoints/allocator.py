"""Memory that a network frees is kept for its next batch, where the C library is glibc."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
UNLIMITED = 2**31 - 1


def keep_freed_memory() -> None:
    """Let malloc keep freed memory in the process instead of giving it back to the system.

    glibc gives back what is larger than 32 MiB at once, so that every large feature map is paged in
    anew, 4 KiB at a time: on one thread this was half of the time of a training step. Kept, memory
    stays at its peak until the process ends. Does nothing with other C libraries, and where
    torch's tensors are not malloc's.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, UNLIMITED)
