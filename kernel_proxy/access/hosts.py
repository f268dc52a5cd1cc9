"""Which Host headers are answered: against pages that point a name of theirs at this server."""

import ipaddress
import re

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9a-z._-]+))(?::\d{1,5})?")


class Hosts:
    """The names that this server answers to.

    DNS rebinding needs a name, so an address is let in: one of this machine itself, and with `remote`,
    where the server listens on a network, any. `names` are those that the operator has listed; with
    `everything` there is no check.
    """

    def __init__(self, names: list[str], remote: bool, everything: bool = False):
        self._names = {"localhost", *(name.lower() for name in names)}
        self._remote, self._everything = remote, everything

    def allow(self, host: str) -> bool:
        """True for a Host header, with a port or without, that is answered."""
        if self._everything:
            return True
        match = _HOST.fullmatch(host.lower())
        if not match:
            return False
        name = match[1] or match[2]
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return self._remote or address.is_loopback
