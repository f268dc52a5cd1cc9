"""What `jupyter torch-proxy` lets programs in by: the operator's token."""

import hmac

from jupyter_server.auth import Authorizer, IdentityProvider, User
from tornado.web import RequestHandler

#: The one resource that a token of this proxy is good for.
RESOURCE = "kernel_proxy"


class TokenIdentityProvider(IdentityProvider):
    """Knows the operator by the token in the Authorization header, and by nothing else.

    The stock provider (jupyter_server 2.21) also takes `?token=`, which lands in logs, and sets a
    cookie that goes to every port of the host.
    """

    #: The operator's token; empty where none was chosen.
    chosen = ""
    #: Kept empty: the stock server prints it and writes it into a file.
    token = ""
    auth_enabled = True
    login_available = False

    def get_user(self, handler: RequestHandler) -> User | None:
        """Return the operator, or None."""
        given = handler.request.headers.get("Authorization", "").encode()
        wanted = f"token {self.chosen}".encode()
        return User("operator") if self.chosen and hmac.compare_digest(given, wanted) else None

    def get_handlers(self) -> list:
        """No login page, no logout."""
        return []


class ProxyOnlyAuthorizer(Authorizer):
    """Allows the proxy's own resource and nothing else of the server."""

    def is_authorized(self, handler, user, action, resource) -> bool:
        """True for the resource `kernel_proxy`."""
        return resource == RESOURCE
