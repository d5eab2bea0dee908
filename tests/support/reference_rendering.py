"""What a picture of a frame should show, written down from PS3.3 and PS3.4 as plainly as can be.

pydicom decodes; everything after that is a formula on whole arrays, without tables, shortcuts or the service's code.
Pictures are within one grey level of this, since rounding is nobody's business.
"""

from typing import Any

import numpy as np
from pydicom.dataset import Dataset

Floats = Any
"""Arrays of float."""


def reference_picture(dataset: Dataset, frame: int = 1) -> Floats:
    """The picture of a frame, counted from 1: (rows, columns) or (rows, columns, 3), 0 to 255."""
    frames = _frames(dataset)
    photometric = dataset.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        return _palette(dataset, frames[frame - 1])
    if frames[frame - 1].ndim == 3:
        colours = frames[frame - 1].astype(float)
        if dataset.BitsStored > 8:
            colours = np.floor(colours / 2 ** (dataset.BitsStored - 8))
        return colours
    rescaled = _rescale(dataset, frames[frame - 1], frame)
    grey = _voi(dataset, frame, rescaled, _rescale(dataset, _without_padding(dataset, frames[0]), frame))
    grey = np.clip(grey, 0, 255)
    return 255 - grey if photometric == "MONOCHROME1" else grey


def _frames(dataset: Dataset) -> list[Any]:
    """Decoded frames; pydicom makes RGB of YBR."""
    pixels = dataset.pixel_array
    return list(pixels) if int(dataset.get("NumberOfFrames") or 1) > 1 else [pixels]


def _groups(dataset: Dataset, frame: int, name: str) -> list[Dataset]:
    """The item of a functional group macro: that of the frame first, then the shared one."""
    found = []
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for group in ([per_frame[frame - 1]] if len(per_frame) >= frame else []) + list(shared[:1]):
        if group.get(name):
            found.append(group[name][0])
    return found


def _first(sources: list[Dataset], name: str) -> object:
    for source in sources:
        value = source.get(name)
        if value not in (None, "", []):
            return value if isinstance(value, str) or not hasattr(value, "__getitem__") else value[0]
    return None


def _rescale(dataset: Dataset, values: Any, frame: int) -> Floats:
    angiography = str(dataset.get("SOPClassUID", "")) in {f"1.2.840.10008.5.1.4.1.1.12.{n}" for n in (1, 2, 3)}
    if dataset.get("ModalityLUTSequence") and not angiography:
        return _lookup(dataset.ModalityLUTSequence[0], values.astype(float))
    sources = [dataset, *_groups(dataset, frame, "PixelValueTransformationSequence")]
    slope, intercept = _first(sources, "RescaleSlope"), _first(sources, "RescaleIntercept")
    return values * float(1 if slope is None else str(slope)) + float(0 if intercept is None else str(intercept))


def _voi(dataset: Dataset, frame: int, values: Floats, first: Floats) -> Floats:
    if dataset.get("VOILUTSequence"):
        table = dataset.VOILUTSequence[0]
        entries = _lookup(table, values)
        every = _lookup(table, np.arange(-70000, 140000, dtype=float))
        return (entries - every.min()) / (every.max() - every.min()) * 255
    groups = _groups(dataset, frame, "FrameVOILUTSequence")
    function = str(_first([dataset, *groups], "VOILUTFunction") or "LINEAR")
    for source in [dataset, *groups]:
        center, width = _first([source], "WindowCenter"), _first([source], "WindowWidth")
        if center is not None and width is not None and float(str(width)) >= 1:
            return _window(values, float(str(center)), float(str(width)), function)
    if dataset.BitsAllocated == 1:
        return values * 255
    smallest, largest = dataset.get("SmallestImagePixelValue"), dataset.get("LargestImagePixelValue")
    if smallest is not None and largest is not None and smallest < largest:
        return _window(values, (smallest + largest) / 2, largest - smallest, "LINEAR")
    low, high = first.min(), first.max()
    if 0 < high - low <= 1:
        return (values - low) / (high - low) * 255
    return _window(values, (low + high) / 2, max(1, high - low), "LINEAR")


def _window(values: Floats, center: float, width: float, function: str) -> Floats:
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            return 255 / (1 + np.exp(-4 * (values - center) / width))
    if function == "LINEAR_EXACT":
        return ((values - center) / width + 0.5) * 255
    if width == 1:
        return np.where(values < center - 0.5, np.zeros_like(values), np.full_like(values, 255))
    return ((values - (center - 0.5)) / (width - 1) + 0.5) * 255


def _without_padding(dataset: Dataset, frame: Any) -> Any:
    padding = dataset.get("PixelPaddingValue")
    rest = frame if padding is None else frame[frame != padding]
    return rest if rest.size else frame


def _lookup(item: Dataset, values: Floats) -> Floats:
    count, first, _ = item.LUTDescriptor
    data = item.LUTData
    entries = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.array(data) & 0xFFFF
    entries = entries[: count or 65536].astype(float)
    return entries[np.clip(np.rint(values) - first, 0, len(entries) - 1).astype(int)]


def _palette(dataset: Dataset, indices: Any) -> Floats:
    channels = []
    for colour in ("Red", "Green", "Blue"):
        count, first, bits = dataset[f"{colour}PaletteColorLookupTableDescriptor"].value
        data = dataset[f"{colour}PaletteColorLookupTableData"].value
        entries = np.frombuffer(data, "<u2" if bits == 16 else "u1")[: count or 65536].astype(float)
        chosen = entries[np.clip(indices.astype(int) - first, 0, len(entries) - 1)]
        channels.append(np.floor(chosen / 256) if bits == 16 else chosen)
    return np.stack(channels, axis=-1)
