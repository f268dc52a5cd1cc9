"""Bytes as tensors there and as arrays here, in every layout: sources of cells, since the tests of
kinds run them in kernels, in CPython and in the page."""

#: Defines `build(raw, dtype, shape, view)`, a tensor; for a `%%torch` cell.
THERE = """\
def build(raw, dtype, shape, view):
    return views[view](raw.clone().view(getattr(torch, dtype)).reshape(shape))
views = {
    "plain": lambda t: t,
    "gradient": lambda t: t.requires_grad_() if t.is_floating_point() and t.itemsize > 1 else t,
    "parameter": lambda t: torch.nn.Parameter(t, requires_grad=False),
    "transposed": lambda t: t.permute(tuple(reversed(range(t.ndim)))),
    "strided": lambda t: t[..., ::2] if t.ndim else t,
    "inner": lambda t: t[1:] if t.ndim else t,
    "expanded": lambda t: t.expand(3, *t.shape),
    "one": lambda t: t.flatten()[0] if t.numel() else t,
    "conjugate": lambda t: t.conj(),
    "negated": lambda t: t.conj().imag if t.is_complex() else t,
}"""

#: Defines `random_bytes`, `views`, the same of arrays, `layouts` that only NumPy has, and
#: `same_bits`; for a local cell.
HERE = '''\
import math
import numpy as np

def random_bytes(number, nbytes, dtype):
    """Bytes of any value: infinities, NaN with payloads, denormal numbers and -0.0 among them."""
    raw = np.random.default_rng(number).integers(0, 256, nbytes, np.uint8)
    # So many equal bytes that the values at the ends of each range are not rare.
    raw[:: number % 5 + 2] = (0, 255, 128, 127)[number % 4]
    return raw & 1 if dtype == "bool" else raw

def same_bits(got, expected, nan_bits=True):
    """Assert that two arrays are the same, bit for bit; of NaN only that they are, unless
    `nan_bits`."""
    assert type(got) is np.ndarray and (got.dtype, got.shape) == (expected.dtype, expected.shape)
    got, expected = (np.ascontiguousarray(array).reshape(-1) for array in (got, expected))
    if not nan_bits:
        if got.dtype.kind == "c":
            got, expected = (array.view(f"f{array.itemsize // 2}") for array in (got, expected))
        assert (np.isnan(got) == np.isnan(expected)).all()
        got, expected = (array[~np.isnan(array)] for array in (got, expected))
    assert got.tobytes() == expected.tobytes()

views = {
    "plain": lambda a: a,
    "gradient": lambda a: a,
    "parameter": lambda a: a,
    "transposed": lambda a: a.T,
    "strided": lambda a: a[..., ::2] if a.ndim else a,
    "inner": lambda a: a[1:] if a.ndim else a,
    "expanded": lambda a: np.broadcast_to(a, (3, *a.shape)),
    "one": lambda a: a.reshape(-1)[:1].reshape(()) if a.size else a,
    "conjugate": lambda a: a.conj() if a.dtype.kind == "c" else a,
    "negated": lambda a: a.conj().imag if a.dtype.kind == "c" else a,
}
layouts = {
    "plain": lambda a: a,
    "transposed": lambda a: a.T,
    "fortran": np.asfortranarray,
    "reversed": lambda a: a[::-1] if a.ndim else a,
    "strided": lambda a: a[..., ::2] if a.ndim else a,
    "swapped": lambda a: a.byteswap().view(a.dtype.newbyteorder()),
    "readonly": lambda a: np.broadcast_to(a, (2, *a.shape)),
    "one": lambda a: a.reshape(-1)[:1].reshape(()) if a.size else a,
}
#: Views whose values are computed, which may make another NaN of one.
computed = ("conjugate", "negated")
'''

#: What HERE defines, for tests in this process.
here = {}
exec(HERE, here)
same_bits = here["same_bits"]
