"""A small picture of a matrix or an image, as a PNG file.

Injected into the kernel, as agent.py is.
"""

import math
import struct
import zlib

import torch

#: Before it is averaged a picture has at most so many pixels in each direction: every k-th.
_TAKEN = 1024
#: Pixels of what may be an image, and the largest ratio of its sides.
_SMALLEST, _LARGEST, _RATIO = 8, 2**14, 16
#: Of the colours of a matrix, from its lowest value to its highest: viridis of matplotlib.
_COLOURS = (
    (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141),
    (39, 173, 129), (92, 200, 99), (170, 220, 50), (253, 231, 37),
)  # fmt: skip
_NOTHING = 255


def of(tensor, real, side, any_matrix):
    """Return {"png", "width", "height", "low", "high", "colours"} of a tensor that may be an image,
    None for any other. `real(tensor)` gives values as floats.

    `low` and `high` are the values of the first and last of `colours`, each red, green and blue;
    without `colours` the values are colours themselves.
    """
    found = _layout(tensor, any_matrix)
    if found is None:
        return None
    pixels, alone = found
    height, width = pixels.shape[:2]
    if not height or not width:
        return None
    fits = max(height, width) <= _RATIO * min(height, width)
    scale = min(1, side / max(height, width)) if fits else 1
    target = [max(1, min(side, round(length * scale))) for length in (height, width)]
    every = [math.ceil(length / _TAKEN) for length in (height, width)]
    taken = real(pixels[:: every[0], :: every[1]])
    if list(taken.shape[:2]) != target:
        planes = taken.reshape(*taken.shape[:2], -1).permute(2, 0, 1)
        target = [min(a, b) for a, b in zip(target, planes.shape[1:], strict=True)]
        planes = torch.nn.functional.adaptive_avg_pool2d(planes, target)
        taken = planes.permute(1, 2, 0).reshape(*target, *taken.shape[2:])
    if alone and tensor.dtype in (torch.uint8, torch.bool):
        top = 255 if tensor.dtype is torch.uint8 else 1
        return _file(taken * (255 / top), "grey", None, None)
    finite = taken[taken.isfinite()]
    low, high = (finite.min().item(), finite.max().item()) if len(finite) else (0.0, 1.0)
    if alone:
        shade = ((taken / 2 - low / 2) / (high / 2 - low / 2 or 1)).clamp(0, 1) * (_NOTHING - 1)
        return _file(shade.nan_to_num(nan=_NOTHING), "colours", low, high)
    if tensor.dtype is torch.uint8:
        return _file(taken, "rgba" if taken.shape[2] == 4 else "rgb", None, None)
    if 0 <= low and high <= (255 if _is_whole(tensor) else 1):
        taken = taken * (1 if _is_whole(tensor) else 255)
        return _file(taken, "rgba" if taken.shape[2] == 4 else "rgb", None, None)
    taken = (taken[..., :3] / 2 - low / 2) / (high / 2 - low / 2 or 1) * 255
    return _file(taken, "rgb", low, high)


def _is_whole(tensor):
    return not (tensor.is_floating_point() or tensor.is_complex())


def _layout(tensor, any_matrix):
    """Return (view of a tensor as rows, columns and perhaps channels, True without channels); None
    for what is no image."""
    shape = tensor.shape
    if tensor.ndim == 3:
        if shape[0] == 1:
            tensor = tensor[0]
        elif shape[2] in (3, 4):
            pass
        elif shape[0] in (3, 4):
            tensor = tensor.permute(1, 2, 0)
        else:
            return None
    elif tensor.ndim != 2:
        return None
    sides = sorted(tensor.shape[:2])
    smallest = 2 if tensor.dtype is torch.uint8 else _SMALLEST
    fits = smallest <= sides[0] and sides[1] <= min(_LARGEST, _RATIO * sides[0])
    if not (fits or (any_matrix and tensor.ndim == 2)):
        return None
    return tensor, tensor.ndim == 2


def _file(values, kind, low, high):
    """Return the picture of values of 0 to 255, rows, columns and perhaps channels."""
    height, width = values.shape[:2]
    values = values.nan_to_num(nan=0, posinf=255, neginf=0).round().clamp(0, 255)
    data = bytes(values.to(torch.uint8).cpu().contiguous().view(-1).tolist())
    code = {"grey": 0, "rgb": 2, "colours": 3, "rgba": 6}[kind]
    row = len(data) // height
    # Each row begins with the number of its filter: none.
    rows = b"".join(b"\0" + data[start : start + row] for start in range(0, len(data), row))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, code, 0, 0, 0))]
    if kind == "colours":
        chunks += [(b"PLTE", _palette()), (b"tRNS", b"\xff" * _NOTHING + b"\0")]
    chunks += [(b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)
    colours = [list(colour) for colour in _COLOURS] if kind == "colours" else None
    size = {"width": width, "height": height}
    return {"png": png, **size, "low": low, "high": high, "colours": colours}


def _chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _palette():
    colours = []
    for shade in range(_NOTHING):
        place, part = divmod(shade * (len(_COLOURS) - 1) / (_NOTHING - 1), 1)
        near, far = _COLOURS[int(place)], _COLOURS[min(int(place) + 1, len(_COLOURS) - 1)]
        colours += [round(a + (b - a) * part) for a, b in zip(near, far, strict=True)]
    return bytes([*colours, 0, 0, 0])
