"""Take from a worker what decoding does not need: the network, other programs, other processes.

Linux only, without privileges: resource limits and a seccomp filter. A worker that a video has
taken over can still read the files that its user can read, and write into the folder of crops; it
can send them nowhere, start nothing, and hand back nothing but faces.
"""

import ctypes
import errno
import os
import pickle
import platform
import resource
import sys
import time
from dataclasses import is_dataclass
from multiprocessing.connection import Connection
from typing import Any

from preprocessing.errors import DeepfakeError
from preprocessing.workers import messages

_NO_NEW_PRIVS, _SET_FILTER, _ALL_THREADS = 38, 1, 1
_LOAD, _EQUAL, _AT_LEAST, _BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF instructions
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000  # x86-64 knows every call by a second number from here up
_CLONE_THREAD = 0x10000
_CLONE3 = 435

# io_uring_setup, pidfd_send_signal, pidfd_getfd have the same number everywhere.
_EVERYWHERE = (425, 424, 438)
# seccomp, clone, audit architecture, then in this order: socket, connect, bind, listen, accept,
# accept4, execve, execveat, ptrace, process_vm_readv, process_vm_writev, kill, rt_sigqueueinfo,
# mount, umount2, unshare, setns, chroot, pivot_root, init_module, finit_module, delete_module,
# kexec_load, bpf, perf_event_open, userfaultfd, keyctl, add_key, request_key, open_by_handle_at.
_CALLS: dict[str, tuple[int, int, int, tuple[int, ...]]] = {
    "x86_64": (
        *(317, 56, 0xC000003E),
        (
            *(41, 42, 49, 50, 43, 288, 59, 322, 101, 310, 311, 62, 129, 165, 166, 272, 308),
            *(161, 155, 175, 313, 176, 246, 321, 298, 323, 250, 248, 249, 304),
            *(57, 58),  # fork and vfork, which other architectures lack
        ),
    ),
    "aarch64": (
        *(277, 220, 0xC00000B7),
        (
            *(198, 203, 200, 201, 202, 242, 221, 281, 117, 270, 271, 129, 138, 40, 39, 97, 268),
            *(51, 41, 105, 273, 106, 104, 280, 241, 282, 219, 217, 218, 265),
        ),
    ),
}


def is_supported() -> bool:
    """Return whether this machine has what a sandbox needs."""
    return sys.platform == "linux" and platform.machine() in _CALLS


def check_supported() -> None:
    """Make sure that this machine has what a sandbox needs.

    Raises:
        DeepfakeError: It has not.
    """
    if not is_supported():
        raise DeepfakeError(
            "--sandbox needs Linux on x86-64 or ARM64; this is "
            f"{platform.system()} on {platform.machine()}. Leave it out, or use a container."
        )


def enter() -> None:
    """Give up the network, other programs and other processes, for the rest of this process.

    Raises:
        DeepfakeError: The kernel does not allow it; nothing must then be decoded.
    """
    check_supported()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seccomp, clone, architecture, refused = _CALLS[platform.machine()]
    program = _program(architecture, clone, (*refused, *_EVERYWHERE))
    code = ctypes.create_string_buffer(program, len(program))
    filter_ = _Program(len(program) // 8, ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (ctypes.c_ulong(_SET_FILTER), ctypes.c_ulong(_ALL_THREADS), ctypes.byref(filter_))
    if (
        libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        or libc.syscall(ctypes.c_long(seccomp), *arguments) != 0
    ):
        reason = os.strerror(ctypes.get_errno())
        raise DeepfakeError(f"--sandbox: the kernel allows no seccomp filter ({reason})")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _program(architecture: int, clone: int, refused: tuple[int, ...]) -> bytes:
    """Return the filter: refused calls fail with EPERM, clone makes threads only."""

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return b"".join(
            number.to_bytes(size, sys.byteorder)
            for number, size in ((code, 2), (yes, 1), (no, 1), (value, 4))
        )

    steps = [
        step(_LOAD, _ARCHITECTURE),
        step(_EQUAL, architecture, 1, 0),
        step(_RETURN, _KILL),
        step(_LOAD, _NUMBER),
        step(_AT_LEAST, _X32, 0, 1),
        step(_RETURN, _REFUSE | errno.EPERM),
        step(_EQUAL, _CLONE3, 0, 1),  # its flags lie in memory; glibc then takes clone
        step(_RETURN, _REFUSE | errno.ENOSYS),
    ]
    for number in refused:
        steps += [step(_EQUAL, number, 0, 1), step(_RETURN, _REFUSE | errno.EPERM)]
    steps += [
        step(_EQUAL, clone, 0, 3),
        step(_LOAD, _FIRST_ARGUMENT),
        step(_BITS, _CLONE_THREAD, 1, 0),
        step(_RETURN, _REFUSE | errno.EPERM),
        step(_RETURN, _ALLOW),
    ]
    return b"".join(steps)


def allow_cpu(seconds: float) -> None:
    """Let this process use so many seconds of processor time from now on, over all its threads."""
    end = int(time.process_time() + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (end, hard))


def receive(pipe: Connection) -> Any:  # noqa: ANN401
    """Return what a sandboxed worker sent: plain values, arrays and this package's values.

    Raises:
        DeepfakeError: It holds anything else.
    """
    try:
        return messages.receive(pipe, _PlainUnpickler)
    except (DeepfakeError, EOFError, OSError):
        raise
    except Exception as error:  # a forged answer may raise anything
        raise DeepfakeError(
            f"the worker's answer cannot be read ({type(error).__name__})"
        ) from error


class _PlainUnpickler(pickle.Unpickler):
    _ARRAYS = frozenset(
        (module, name)
        for core in ("numpy._core", "numpy.core")
        for module, name in (
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            (f"{core}.multiarray", "_reconstruct"),
            (f"{core}.multiarray", "scalar"),
            (f"{core}.numeric", "_frombuffer"),
        )
    )

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Return a class of a value that travels; refuse all else."""
        if (module, name) in self._ARRAYS:
            return super().find_class(module, name)
        if module.startswith("preprocessing.") and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and is_dataclass(found):
                return found
        raise DeepfakeError(f"the worker's answer holds {module}.{name}, which is no face")
