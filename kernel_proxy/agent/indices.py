"""An index of NumPy's as one that means the same to torch (2.13).

Injected into the kernel, as agent.py is.
"""

import torch


def for_torch(index, ndim):
    """Return an index for a tensor of `ndim` dimensions. IndexError where torch has none that means
    what it does to NumPy.

    Its arrays are tensors. Beside them torch takes a number for a dimension that is taken out first,
    where NumPy takes it for an array of one element; it takes uint8 for truth values, and an
    Ellipsis for nothing where there is no dimension left for it.
    """
    parts = [_as_int64(part) for part in (index if isinstance(index, tuple) else (index,))]
    if len(parts) > 1 and any(map(_is_truth_value, parts)):
        raise IndexError("a single truth value beside others")
    if not any(isinstance(part, torch.Tensor) and part.ndim for part in parts):
        return tuple(parts)
    parts = [torch.as_tensor(part).view(1) if _is_number(part) else part for part in parts]
    arrays = [number for number, part in enumerate(parts) if isinstance(part, torch.Tensor)]
    gaps = [number for number, part in enumerate(parts) if part is Ellipsis]
    if gaps and arrays[0] < gaps[0] < arrays[-1] and sum(map(_dimensions, parts)) >= ndim:
        raise IndexError("an Ellipsis between arrays, which stands for no dimension")
    return tuple(parts)


def _as_int64(part):
    # A tensor of any other dtype of integers is none of torch's indices.
    is_integers = isinstance(part, torch.Tensor) and part.dtype != torch.bool
    is_integers = is_integers and not (part.is_floating_point() or part.is_complex())
    return part.long() if is_integers else part


def _is_truth_value(part):
    is_tensor = isinstance(part, torch.Tensor) and not part.ndim and part.dtype == torch.bool
    return is_tensor or isinstance(part, bool)


def _is_number(part):
    is_tensor = isinstance(part, torch.Tensor) and not part.ndim
    return is_tensor or (isinstance(part, int) and not isinstance(part, bool))


def _dimensions(part):
    """Return how many dimensions a part of an index stands for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, torch.Tensor) and part.dtype == torch.bool else 1
