"""The public suite of what a Jupyter kernel must do, against a kernel behind the proxy's channel."""

import time
import unittest

import jupyter_kernel_test
import pytest
from server.kernel_client import SessionManager


class Suite(jupyter_kernel_test.KernelTests):
    """The suite with everything in it that ipykernel can do."""

    # Run by `outcomes`, not by pytest.
    __test__ = False

    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = [
        {"text": "zi", "matches": {"zip"}},
        {"text": "from collections import Orde", "matches": {"OrderedDict"}},
        {"text": "nothing_is_called_so"},
    ]
    complete_code_samples = ["1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n"]
    incomplete_code_samples = ["print('''hello", "def f(x):\n  x*2"]
    invalid_code_samples = ["import = 7q"]
    code_page_something = "zip?"
    code_generate_error = "raise"
    code_execute_result = [
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
        {"code": "from IPython.display import HTML; HTML('<b>b</b>')", "mime": "text/html"},
    ]
    code_display_data = [
        {"code": f"from IPython.display import *; display({shown})", "mime": mime}
        for shown, mime in [
            ("HTML('<b>test</b>')", "text/html"),
            ("Math('\\\\frac{1}{2}')", "text/latex"),
            ("Markdown('*a*')", "text/markdown"),
            ("SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')", "image/svg+xml"),
            ("JSON({'a': [None]})", "application/json"),
            ("{'application/x-nobody': 1}, raw=True", "application/x-nobody"),
        ]
    ]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"


class WelcomeSuite(jupyter_kernel_test.IopubWelcomeTests):
    """What a kernel says to who begins to listen."""

    __test__ = False

    support_iopub_welcome = True


class ThroughChannel(Suite):
    """The suite's kernel is a session of `proxy`."""

    @classmethod
    def setUpClass(cls):
        cls.km = SessionManager(cls.proxy)
        cls.kc = cls.km.client()
        cls.kc.start_channels()
        cls.kc.wait_for_ready(timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.kc.stop_channels()
        cls.km.shutdown_kernel()


class WelcomeThroughChannel(WelcomeSuite):
    """Likewise; here the test itself begins to listen."""

    @classmethod
    def setUpClass(cls):
        cls.km = SessionManager(cls.proxy)
        cls.kc = cls.km.client()

    @classmethod
    def tearDownClass(cls):
        cls.kc.stop_channels()
        cls.km.shutdown_kernel()


class Stopped(ThroughChannel):
    """The suite has got its kernel, and then the proxy ends."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.proxy.interrupt()


class Outcomes(unittest.TestResult):
    """How the tests of the suite ended: the names of those that `passed`, with those of their parts,
    and of those that `failed`."""

    def __init__(self):
        super().__init__()
        self.passed, self.failed = set(), set()

    def addSuccess(self, test):
        self.passed.add(name_of(test))

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.failed.add(name_of(test))

    def addError(self, test, error):
        super().addError(test, error)
        self.failed.add(name_of(test))

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is None:
            self.passed.add(f"{name_of(test)} {subtest.params}")
        else:
            self.failed.add(name_of(test))

    @property
    def told(self):
        """What there is to see of all that did not pass."""
        return "\n".join(f"{t}\n{why}" for t, why in self.failures + self.errors + self.skipped)


def name_of(test):
    return test.id().rpartition(".")[2]


def loaded(*suites):
    return unittest.TestSuite(map(unittest.defaultTestLoader.loadTestsFromTestCase, suites))


def outcomes(*suites, proxy=None):
    """Run suites, on sessions of a proxy if it is given."""
    result = Outcomes()
    for each in suites:
        each.proxy = proxy
    loaded(*suites).run(result)
    return result


EVERY = {name_of(test) for suite in loaded(Suite, WelcomeSuite) for test in suite}
# IPython 9.18 answers a range of its own session with lines of a session 0.
FAIL = {"test_history"}
# A kernel's own welcome may come after what the kernel prints at its start (ipykernel 7.4).
MAY_FAIL_DIRECTLY = FAIL | {"test_recv_iopub_welcome_msg"}


@pytest.fixture(autouse=True)
def history(tmp_path, monkeypatch):
    """The kernels' history begins empty, and is not that of the user."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))


def test_what_passes_directly_passes_through_the_channel(start_proxy):
    assert len(EVERY) == 13
    directly = outcomes(Suite, WelcomeSuite)
    assert directly.passed >= EVERY - MAY_FAIL_DIRECTLY, directly.told
    through = outcomes(ThroughChannel, WelcomeThroughChannel, proxy=start_proxy())
    assert through.passed >= directly.passed | EVERY - FAIL, through.told
    assert not directly.skipped and not through.skipped, through.told


def test_suite_fails_as_a_whole_where_the_proxy_is_stopped(start_proxy):
    proxy = start_proxy()
    start = time.monotonic()
    result = outcomes(Stopped, WelcomeThroughChannel, proxy=proxy)
    assert not result.passed and result.failed >= EVERY, result.told
    # At once, and not by one timeout after the other.
    assert time.monotonic() - start < 60
