"""What the agent can not do for a page, said to its user.

Injected into the kernel, as agent.py is.
"""


class Failure(Exception):
    """A request of the page that can not be met; its text goes to the user."""


class TooLarge(Failure):
    """The page has no room for an array."""
