"""The size of each scale case: a tenth or less by default, as stated with `--full`.

A test asks for its case by name through the fixture `size`; nothing else in the suite knows numbers of this kind.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """One case; `stated` is what the product promises to bear."""

    small: int
    stated: int


SIZES: dict[str, Size] = {
    "mutated files sent": Size(30, 300),
    "bodies made up for the multipart reader": Size(200, 2_000),
    "bytes of a large file": Size(30_000_000, 300_000_000),
    "parts of one request": Size(100, 1_000),
    "kills of a process that writes to the embedded store": Size(6, 50),
    "levels of nested sequences": Size(1_000, 1_000),
    "instances of one study deleted at once": Size(300, 10_000),
    "random schedules of several processes": Size(150, 3_000),
    "kills of worker": Size(2, 25),
    "kills of host": Size(2, 25),
    "kills of azurite": Size(1, 10),
    "bytes of each large file of a study": Size(26_000_000, 256_000_000),
    "files of 512 KB in one study": Size(200, 2_000),
    "instances of one streamed study": Size(1_500, 20_000),
    "requests that leave no growth": Size(1_000, 10_000),
    "slow connections": Size(200, 200),
    "parts that are no DICOM": Size(10_000, 100_000),
    "mutations of real files": Size(200, 2_000),
    "studies searched": Size(300, 3_000),
    "instances of one study updated": Size(300, 3_000),
    "instances reindexed": Size(1_000, 10_000),
    "random searches": Size(200, 2_000),
    "examples of matching": Size(500, 5_000),
    "requests of each operation made from the API document": Size(8, 80),
    "bytes streamed through the real worker": Size(100_000_000, 100_000_000),
}
