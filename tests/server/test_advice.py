"""What errors say where the page and the server differ in what they have."""

import pytest

from jupyterlite_torch._advice import advice
from jupyterlite_torch._errors import RemoteError

pytestmark = pytest.mark.one_kernel


def last_line(notebook, body):
    with pytest.raises(RemoteError) as caught:
        notebook.torch(body)
    return caught.value._render_traceback_()[-1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("torch.from_numpy(x)", "`x` of this page is a tensor there already"),
        ("k; torch.nn.Linear(3, 1)(x)", "`x.float()`, or `%%torch -i x --as float32`"),
        ("torch.nn.Conv1d(2, 1, 1)(x)", "`x.float()`"),
        ("x @ torch.ones(3, 1)", "`x.float()`"),
        (
            "loss = torch.nn.BCELoss()(torch.ones(2, 3).requires_grad_(), x).backward()",
            "`x.float()`",
        ),
        ("(lambda: torch.from_numpy(x))()", "`x` of this page is a tensor"),
    ],
)
def test_arrays_that_arrive_otherwise_than_thought(notebook, body, said):
    notebook.local("import numpy as np\nk = np.arange(3); x = np.full((2, 3), 0.5)")
    assert said in last_line(notebook, body)


def test_an_error_without_arrays_of_the_page_is_torchs_own(notebook):
    line = last_line(notebook, "torch.nn.Linear(3, 1)(torch.ones(2, 3).double())")
    assert line.endswith("but got Double and Float")


def test_what_it_says_helps(notebook):
    notebook.local("import numpy as np\nx = np.full((2, 3), 0.5)")
    last_line(notebook, "torch.nn.Linear(3, 1)(x)")
    assert notebook.torch("torch.nn.Linear(3, 1)(x)", "-i x --as float32").shape == (2, 1)


def test_devices_that_differ():
    for said in (
        "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!",
        "Input type (torch.FloatTensor) and weight type (torch.cuda.FloatTensor) should be the same",
    ):
        assert "`%torch device cuda`" in advice(said, ["x"])
        assert advice(said, []) is None


def test_a_name_that_stays_there(notebook, capsys):
    notebook.torch("net = torch.nn.Linear(2, 1)\ndef f(): pass")
    word = "`net` is on the server, not here: cells with `%%torch` can use it."
    for cell in ("net(1)", "def g(): return net\ng()"):
        with pytest.raises(NameError):
            notebook.local(cell)
        assert word in capsys.readouterr().out
    for cell in ("nett", "def g():\n    net += 1\ng()", "net = 1; f = 2; net + nowhere"):
        with pytest.raises(NameError):
            notebook.local(cell)
        assert "on the server" not in capsys.readouterr().out
    notebook.torch("del net")
    with pytest.raises(NameError):
        notebook.local("del net; net")
    assert "on the server" not in capsys.readouterr().out
