"""Decoded samples. Importing this module imports numpy."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.unsignedinteger]
"""Of one frame, (rows, columns) or (rows, columns, samples): the bits of the containers of Bits Allocated."""

BLOCK = 1 << 20


def row_blocks(samples: Samples, most: int = BLOCK) -> Iterator[slice]:
    """Rows of about a million samples each, or `most`, so that calculations on wide numbers need little room."""
    rows = max(1, most // max(1, samples[0].size))
    for start in range(0, len(samples), rows):
        yield slice(start, start + rows)
