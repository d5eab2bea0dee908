"""Decoded samples. Importing this module imports numpy."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.unsignedinteger]
"""Of one frame, (rows, columns) or (rows, columns, samples): the bits of the containers of Bits Allocated."""
