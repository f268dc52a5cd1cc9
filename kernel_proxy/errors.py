"""What can go wrong on the proxy's side.

ProxyError
├── Refused             a request that breaks the protocol or a limit
├── KernelStartFailed
│   └── NoTorch         the kernel's environment lacks PyTorch
├── KernelDied
├── StateInUse          another proxy has the state folder
└── AgentFailure        the agent in the kernel could not do what it was asked
    └── PatchRefused    a patch of the page does not fit what is there
"""


class ProxyError(Exception):
    """Base; its text is a sentence for the user, `reason` a word for programs."""

    reason = "bad-request"
    status = 400


class Refused(ProxyError):
    """A request that breaks the protocol or one of its limits."""

    def __init__(self, message: str, reason: str = "bad-request", status: int = 400):
        super().__init__(message)
        self.reason, self.status = reason, status


class KernelStartFailed(ProxyError):
    """The kernel's process or its agent could not be started."""

    reason = "kernel-start"
    status = 503


class NoTorch(KernelStartFailed):
    """The kernel's environment has no PyTorch."""

    reason = "no-torch"


class KernelDied(ProxyError):
    """The kernel's process ended by itself."""

    reason = "kernel-died"
    status = 503


class StateInUse(ProxyError):
    """Another proxy has the state folder."""


class AgentFailure(ProxyError):
    """The agent in the kernel could not do what it was asked."""

    reason = "agent"


class PatchRefused(AgentFailure):
    """A page sent what it has changed of an array, and the kernel's is not the one from before."""

    reason = "patch"
