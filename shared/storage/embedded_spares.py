"""Empty files of the embedded store, made ahead of their use.

Some file systems take longer to make a file than to write half a megabyte into it: those that look for an inode which
was not freed lately, after many deletions, and those that are watched by scanners. So a process that stores one file
after the other has the next ones made by a thread meanwhile.

A file without a row is removed by checks of other processes once it is `embedded_check.ABANDONED`; long before, it is
not used any more.
"""

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum

from .embedded_disk import NEW_FILE, Disk

MOST_AHEAD = 32
"""Files that wait for their use."""

FILES_FOR_ONE = 4
"""As many files a process has to write into a folder for each that is made ahead: most tests store a few."""

USABLE_SECONDS = 600.0


class Spare(Enum):
    """Whether there is an empty file of a number."""

    NO = NEW_FILE
    PERHAPS = os.O_CREAT
    """It may be in the making."""
    YES = 0


class SpareFiles:
    """Those of one process, which gives numbers to files in ascending order."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._next = 0
        """The next number that will be given to a file; those before it are nobody's but their file's."""
        self._end = 0
        """The number behind the last one that was asked for."""
        self._made: dict[int, float] = {}
        """When each was made."""
        self._maker: ThreadPoolExecutor | None = None
        self._making: Future[None] | None = None

    def take(self, number: int) -> Spare:
        """Whether the file of a number that was given is there."""
        if self._made.pop(number, None) is not None:
            return Spare.YES
        return Spare.PERHAPS if number < self._end else Spare.NO

    def give(self, number: int, end: int, written: int) -> int:
        """The number for the next file, at least `number`; has those made that will probably follow it before `end`.

        `written` is how many files this process has written into the folder. Spares that became too old are removed,
        and their numbers are left out, up to `end` at most.
        """
        made = self._made.get(number)
        if made is not None and not 0 <= time.time() - made < USABLE_SECONDS:
            self._next = number
            self.clear()
            number = self._end
        self._next = number + 1
        wanted = min(MOST_AHEAD, written // FILES_FOR_ONE)
        first, last = max(self._end, self._next), min(self._next + wanted, end)
        if 2 * (last - first) > wanted and (self._making is None or self._making.done()):
            self._maker = self._maker or ThreadPoolExecutor(1, "spare files")
            self._making = self._maker.submit(self._make, range(first, last))
            self._end = last
        return number

    def _make(self, numbers: range) -> None:
        for number in numbers:
            try:
                self._disk.make(number)
            except OSError:  # whoever writes the file will say so
                return
            self._made[number] = time.time()

    def clear(self) -> None:
        """Removes what was not used. A file that was written while it was in the making is none of them."""
        if self._making:
            self._making.cancel()
        while self._made:
            number, _ = self._made.popitem()
            if number >= self._next:
                self._disk.remove(number)

    def close(self) -> None:
        """Waits for the thread, and removes what was not used."""
        if self._maker:
            self._maker.shutdown()
        self.clear()
