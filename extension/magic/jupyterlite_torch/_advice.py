"""What to do about errors of torch that come of how arrays of the page arrive."""

import re

#: By what torch (2.13) says: the first that fits. NAME is an array of the page that the cell reads.
_ADVICE = (
    (
        re.compile(r"expected np\.ndarray \(got Tensor\)"),
        "`NAME` of this page is a tensor there already: leave out `torch.from_numpy`.",
    ),
    (
        re.compile(r"tensors to be on the same device|torch\.cuda\.\w+\) should be the same"),
        "Arrays of this page arrive on the CPU: `NAME.to(device)`, or `%torch device cuda` before, or "
        "`%%torch -i NAME:cuda` for this one.",
    ),
    (
        re.compile(
            r"(same dtype|scalar type|Found dtype).*double|double.*should be the same",
            re.IGNORECASE,
        ),
        "Arrays of this page keep their dtype, which for NumPy mostly is float64: `NAME.float()`, or "
        "`%%torch -i NAME --as float32`.",
    ),
)


def advice(evalue, arrays):
    """Return what to do about an error that says `evalue`, in a cell that reads `arrays`, names of arrays
    of the page; None where nothing is known."""
    if arrays:
        for said, sentence in _ADVICE:
            if said.search(evalue):
                return sentence.replace("NAME", arrays[0])
    return None
