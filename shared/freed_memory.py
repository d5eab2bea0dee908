"""Whether memory that was freed goes back to the operating system at once.

Answers with pictures take and free half a megabyte and more many times a second. glibc gives such pieces back, and the
kernel then fills new pages with zeros for the next one: a quarter of the processor time of a series that is retrieved.
What is kept is kept for each arena, of which glibc makes eight for a processor; threads of Python need few.
"""

import os
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

KEPT_BYTES = 32 * 1024 * 1024
"""Free memory above this goes back."""

LARGE_BYTES = 8 * 1024 * 1024
"""What is this large comes from the system by itself, and goes back when it is freed. Chunks of files are smaller."""

MOST_ARENAS = 2


def keep_freed_memory() -> None:
    """For this process, where its C library is glibc and the environment does not say how that is to allocate."""
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_M_ARENA_MAX, MOST_ARENAS)
    mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
    mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
