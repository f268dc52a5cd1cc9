"""What a handle's tensor looks like: its numbers in short, a histogram, a curve, a picture.

Made of at most SAMPLED of its values, in pieces of PIECE, so that the memory it takes does not
depend on the tensor, which is only read. Injected into the kernel, as agent.py is.
"""

import math

import _jupyterlite_torch_forms as forms
import _jupyterlite_torch_picture as picture
import torch
from _jupyterlite_torch_batch import Batch
from _jupyterlite_torch_failure import Failure

#: Of a tensor with more elements so many are looked at, evenly spaced.
SAMPLED = 2**22
#: Elements that are looked at together, each as a number of 8 bytes.
PIECE = 2**20
BINS = 40
#: What every device can look up elements of; of other dtypes integers of the same bits are.
_INDEXED = frozenset(
    getattr(torch, name)
    for name in "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 "
    "complex128".split()
)
#: Rows and columns of the first values.
ROWS, COLUMNS = 6, 8


def preview(value, side=128, any_matrix=False, buckets=0):
    """Describe a tensor or array; see "preview" in docs/protocol.md.

    `side`: pixels of the picture at most in each direction, which any matrix has with `any_matrix`,
    else what may be an image. `buckets`: points of the curve of a vector, 0 for none.
    """
    batch = Batch(0)
    batch.encode(value)
    if len(batch.tensors) != 1:
        raise Failure("only a single tensor has a preview")
    with torch.no_grad():
        tensor = batch.tensors[0].detach()
        sample = Sample(tensor)
        facts = sample.facts()
        vector = tensor.ndim == 1 and buckets and sample.count
        return {
            "elements": tensor.numel(),
            "sampled": sample.count,
            **facts,
            "absolute": tensor.is_complex(),
            "histogram": sample.histogram(facts),
            "first": first(tensor),
            "curve": sample.curve(buckets) if vector else None,
            "picture": picture.of(tensor, real, side, any_matrix),
        }


def first(tensor):
    """Return the first values of a tensor's last two dimensions: a list of rows."""
    if not tensor.numel():
        return []
    if tensor.ndim > 2:
        tensor = tensor[(0,) * (tensor.ndim - 2)]
    if tensor.ndim < 2:
        tensor = tensor.reshape(1, -1) if tensor.ndim == 0 else tensor[: 2 * COLUMNS].view(1, -1)
        return _plain(tensor).tolist()
    return _plain(tensor[:ROWS, :COLUMNS]).tolist()


def _plain(tensor):
    """Return a tensor on the CPU in a dtype that all operations know."""
    if tensor.is_complex():
        return tensor.to("cpu", torch.complex128).resolve_conj().resolve_neg()
    if tensor.is_floating_point():
        return real(tensor.cpu())
    return tensor.cpu()


def real(tensor):
    """Return a tensor's values, of complex ones the absolute values, as floats that are exact where
    the device has them."""
    # Of 64-bit floats MPS has none.
    dtype = torch.float32 if tensor.device.type == "mps" else torch.float64
    if tensor.is_complex():
        complex_dtype = torch.complex64 if dtype is torch.float32 else torch.complex128
        return tensor.to(complex_dtype).abs()
    return tensor.to(dtype)


class Sample:
    """Values of a tensor, `count` of its elements `step` apart."""

    def __init__(self, tensor):
        # In the order of its memory, where that has no gaps, its elements need not be looked up.
        order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
        in_memory = tensor.permute(order)
        self._tensor = in_memory if in_memory.is_contiguous() else tensor
        self._whole = not (tensor.is_floating_point() or tensor.is_complex())
        self.step = math.ceil(tensor.numel() / SAMPLED) or 1
        # Else the elements would be of few rows or columns only.
        while self.step > 1 and any(math.gcd(self.step, size) > 1 for size in tensor.shape):
            self.step += 1
        self.count = math.ceil(tensor.numel() / self.step)

    def _pieces(self, length=PIECE):
        for start in range(0, self.count, length):
            yield self._piece(start, min(start + length, self.count))

    def _piece(self, start, stop):
        tensor = self._tensor
        if tensor.is_contiguous():
            return tensor.view(-1)[start * self.step : (stop - 1) * self.step + 1 : self.step]
        dtype = None if tensor.dtype in _INDEXED else tensor.dtype
        tensor = tensor if dtype is None else forms.bits(tensor)
        place = torch.arange(start, stop, device=tensor.device) * self.step
        index = []
        for size in reversed(tensor.shape):
            index.append(place % size)
            place = place.div(size, rounding_mode="floor")
        values = tensor[tuple(reversed(index))]
        return values if dtype is None else values.view(dtype)

    def facts(self):
        """Return the lowest and highest of the finite values, their mean and standard deviation,
        None without any, and how many are NaN or infinite."""
        low, high = math.inf, -math.inf
        nan = plus = minus = count = 0
        mean = squares = 0.0
        for piece in self._pieces():
            values = real(piece)
            finite = values[values.isfinite()]
            if len(finite) < len(values):
                nan += int(values.isnan().sum())
                plus += int((values == math.inf).sum())
                minus += int((values == -math.inf).sum())
            if not len(finite):
                continue
            exact = finite
            if self._whole and piece.dtype is not torch.uint64:
                exact = piece.to(torch.int64)
            low, high = min(low, exact.min().item()), max(high, exact.max().item())
            here, count_here = finite.mean().item(), len(finite)
            difference = here - mean
            count += count_here
            mean += difference * count_here / count
            squares += float((finite - here).square().sum())
            squares += difference**2 * count_here * (count - count_here) / count
        found = (low, high, mean, math.sqrt(squares / count)) if count else (None,) * 4
        names = ("low", "high", "mean", "std")
        return {**dict(zip(names, found, strict=True)), "nan": nan, "inf": plus, "minus_inf": minus}

    def histogram(self, facts):
        """Return {"from", "to", "counts"} of the finite values; None without any."""
        low, high = facts["low"], facts["high"]
        if low is None:
            return None
        bins = BINS
        if self._whole and high - low < BINS:
            bins, low, high = int(high - low) + 1, low - 0.5, high + 0.5
        elif low == high:
            bins = 1
        # Halves: of the whole the difference may be infinite.
        start, width = low / 2, high / 2 - low / 2
        counts = 0
        for piece in self._pieces():
            values = real(piece)
            values = values[values.isfinite()]
            # Not histc, which a GPU refuses where only deterministic operations are allowed.
            place = ((values / 2 - start) / (width or 1) * bins).to(torch.int64).clamp_(0, bins - 1)
            counts = counts + torch.bincount(place, minlength=bins)
        return {"from": low, "to": high, "counts": counts.tolist()}

    def curve(self, buckets):
        """Return {"low", "high"}: the lowest and highest finite value of each of so many parts of
        the sample or fewer, NaN in one without any. With one value in each they are the same."""
        length = math.ceil(self.count / buckets)
        low, high = [], []
        for piece in self._pieces(length * max(1, PIECE // length)):
            values = real(piece)
            # Not in place: these may be the tensor's own.
            values = values.where(values.isfinite(), math.nan)
            missing = -len(values) % length
            values = torch.nn.functional.pad(values, (0, missing), value=math.nan).view(-1, length)
            for found, fill, pick in ((low, math.inf, "amin"), (high, -math.inf, "amax")):
                ends = getattr(values.nan_to_num(nan=fill, posinf=fill, neginf=fill), pick)(1)
                found += [_short(end) for end in ends.tolist()]
        return {"low": low, "high": high}


def _short(value):
    return float(f"{value:.6g}") if math.isfinite(value) else math.nan
