"""Who may use the proxy: tokens, one-time pairing codes, and allowed origins."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from jupyter_server.auth import Authorizer, IdentityProvider, User
from tornado.web import RequestHandler

#: The one resource that a token of this proxy is good for.
RESOURCE = "kernel_proxy"
CODE_LIFETIME_S = 600
#: Wrong codes after which the pending code is void: a guesser has 5 tries at one of 32**8 codes.
CODE_TRIES = 5
# No 0 and O, no 1 and I: a person may have to type it.
_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_AUTHORIZATION = re.compile(r"(?:token|bearer)\s+(\S+)", re.IGNORECASE)


class Tokens:
    """The tokens that open this proxy, kept as hashes, and the pairing code that gives one.

    `given` are hashes of tokens that were given out before; `keep` is told them when there is one
    more.
    """

    def __init__(
        self,
        *tokens: str,
        given: Sequence[bytes] = (),
        keep: Callable[[list[bytes]], None] = lambda given: None,
    ):
        self._chosen = [_hash(token) for token in tokens]
        self._given = list(given)
        self._keep = keep
        self._code: bytes | None = None
        self._code_until = 0.0
        self._code_tries = 0

    def accepts(self, token: str) -> bool:
        """True if `token` is one of them; takes the same time for all."""
        given = _hash(token)
        # A list, so that no comparison is left out.
        return any([hmac.compare_digest(given, known) for known in (*self._chosen, *self._given)])

    def new_token(self) -> str:
        """Return a new token."""
        token = secrets.token_urlsafe(32)
        self._given.append(_hash(token))
        self._keep(self._given)
        return token

    def new_code(self) -> str:
        """Return a fresh pairing code, good once, for CODE_LIFETIME_S; the one before is void."""
        letters = "".join(secrets.choice(_CODE_LETTERS) for _ in range(8))
        self._code = _hash(letters)
        self._code_until = time.monotonic() + CODE_LIFETIME_S
        self._code_tries = 0
        return f"{letters[:4]}-{letters[4:]}"

    def redeem(self, code: str) -> str | None:
        """Return a new token for the pending code, or None for a code that is wrong, used or old."""
        if self._code is None or time.monotonic() > self._code_until:
            return None
        if not hmac.compare_digest(_hash(code.replace("-", "").upper()), self._code):
            self._code_tries += 1
            if self._code_tries >= CODE_TRIES:
                self._code = None
            return None
        self._code = None
        return self.new_token()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def exact_origin(text: str) -> str:
    """Return `text` as a browser writes an origin; ValueError for a pattern or no origin at all."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"{text!r} is no origin: write it as https://name.github.io. `*` and `null` are refused, "
            "because any page of the web could then run code here."
        )
    if "*" in parts.netloc or parts.username or parts.password:
        raise ValueError(f"{text!r} is no exact origin: name each host by itself.")
    default = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


class TokenIdentityProvider(IdentityProvider):
    """Knows a request by the token in its Authorization header, and by nothing else.

    The stock provider (jupyter_server 2.21) also takes `?token=`, which lands in logs, and sets a
    cookie that goes to every port of the host.
    """

    tokens = Tokens()
    #: Kept empty: the stock server prints it and writes it into a file.
    token = ""
    auth_enabled = True
    login_available = False

    def get_user(self, handler: RequestHandler) -> User | None:
        """Return the one user that there is, or None."""
        match = _AUTHORIZATION.fullmatch(handler.request.headers.get("Authorization", ""))
        return User("page") if match and self.tokens.accepts(match[1]) else None

    def get_handlers(self) -> list:
        """No login page, no logout."""
        return []


class ProxyOnlyAuthorizer(Authorizer):
    """Allows the proxy's own resource and nothing else of the server."""

    def is_authorized(self, handler, user, action, resource) -> bool:
        """True for the resource `kernel_proxy`."""
        return resource == RESOURCE
