"""Page tokens and pairing codes: a file that the proxy and the commands share.

The file is the truth: a running proxy looks at it for each token that it is shown, so that what
`jupyter torch-proxy pair` and `tokens` write there counts at once. It holds hashes, under names.
"""

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..session.state import load_json, save_json
from . import clock

CODE_LIFETIME_S = 600
#: Wrong codes after which a pending code is void. A guesser has 5 tries at one of 32**8 codes: one
#: chance in 220 thousand million for each code that is ever made.
CODE_TRIES = 5
#: Codes that wait for their page; one more voids the oldest.
MAX_CODES = 8
#: Tokens that are kept; one more voids the one that was not used for the longest time.
MAX_TOKENS = 256
DAY_S = 86400.0
#: A use is written down if the one before is so long ago, or a tenth of a shorter life.
_NOTED_EVERY_S = 3600
# No 0 and O, no 1 and I: a person may have to type it.
_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True)
class PageToken:
    """What is known of a token; `origin` is the only one it is good for, None for all allowed ones."""

    id: str
    hash: str
    origin: str | None
    person: str
    #: Seconds that it lives without use.
    lifetime_s: float
    created: dict[str, Any]
    used: dict[str, Any]


@dataclass(frozen=True)
class Code:
    """A pairing code that waits; `origin` as for a PageToken."""

    hash: str
    origin: str | None
    person: str
    created: dict[str, Any]
    tries: int = 0


@dataclass
class _Content:
    """What the file holds."""

    tokens: dict[str, PageToken]
    codes: list[Code]
    #: The first of the persons that an identity provider of several has named.
    first: str | None = None


class Tokens:
    """The tokens and codes of a state folder. `lifetime_s`: how long a token lives without use."""

    def __init__(
        self,
        folder: Path,
        lifetime_s: float = 14 * DAY_S,
        now: Callable[[], dict[str, Any]] = clock.now,
    ):
        self._file, self._lock = folder / "tokens.json", folder / "tokens.lock"
        self._lifetime_s, self._now = lifetime_s, now
        self._content, self._seen = _Content({}, []), ()

    # --- Tokens ----------------------------------------------------------------------------------

    def begin(self) -> int:
        """Have what an earlier proxy has left live by this one's setting; return how many of them
        have expired meanwhile."""
        with self._changing() as content:
            before = len(content.tokens)
            now = self._now()
            for token in self._alive(content):
                # One of the future comes from a clock that was wrong: it would live until then.
                used = now if clock.passed(token.used, now) < 0 else token.used
                content.tokens[token.id] = replace(token, used=used, lifetime_s=self._lifetime_s)
            self._drop_expired(content)
            return before - len(content.tokens)

    def find(self, token: str, origin: str | None) -> PageToken | None:
        """Return what is known of a token that a page of `origin` shows; None if it is no good."""
        given = _hash(token)
        # A list of all, so that each comparison is made.
        known = [
            one
            for one in self._read().tokens.values()
            if hmac.compare_digest(given.encode(), one.hash.encode())
        ]
        if not known or known[0].origin not in (None, origin) or self._is_expired(known[0]):
            return None
        self.use(known[0].id)
        return known[0]

    def use(self, identifier: str) -> None:
        """A token is in use: its life begins anew."""
        token = self._read().tokens.get(identifier)
        noted_every_s = min(_NOTED_EVERY_S, self._lifetime_s / 10)
        if token and not 0 <= clock.passed(token.used, self._now()) < noted_every_s:
            # On a full disk it goes on as it is.
            with contextlib.suppress(OSError), self._changing() as content:
                if identifier in content.tokens:
                    content.tokens[identifier] = replace(token, used=self._now())

    def why_void(self, identifier: str) -> str | None:
        """Return why a token that was good is not any more; None while it is."""
        try:
            token = self._read().tokens.get(identifier)
        except ValueError:
            return "can not be looked up on the server, whose file of tokens is damaged"
        if token is None:
            return "was revoked"
        if self._is_expired(token):
            return f"has expired: it was not used for {token.lifetime_s / DAY_S:.3g} days"
        return None

    def new_token(self, person: str, origin: str | None = None) -> str:
        """Return a new token."""
        token = secrets.token_urlsafe(32)
        with self._changing() as content:
            self._add(content, token, person, origin)
        return token

    def good(self) -> list[PageToken]:
        """Return those that are good, the oldest first."""
        return self._alive(self._read())

    def revoke(self, identifier: str) -> bool:
        """Void a token; False if there is no such one."""
        with self._changing() as content:
            return content.tokens.pop(identifier, None) is not None

    def revoke_all(self) -> int:
        """Void all tokens and codes; return how many tokens there were."""
        with self._changing() as content:
            count = len(self._alive(content))
            content.tokens, content.codes = {}, []
            return count

    # --- Codes -----------------------------------------------------------------------------------

    def new_code(self, person: str, origin: str | None = None) -> str:
        """Return a fresh pairing code, good once, for CODE_LIFETIME_S."""
        letters = "".join(secrets.choice(_CODE_LETTERS) for _ in range(8))
        with self._changing() as content:
            content.codes.append(Code(_hash(letters), origin, person, self._now()))
            content.codes = content.codes[-MAX_CODES:]
        return f"{letters[:4]}-{letters[4:]}"

    def redeem(self, code: str, origin: str) -> str | None:
        """Return a new token for a pending code, or None for a code that is wrong, used or old.

        A wrong one counts against every code that is pending.
        """
        if not self._read().codes:
            # A guesser may not keep the disk busy.
            return None
        given = _hash(code.replace("-", "").upper()).encode()
        with self._changing() as content:
            pending = [one for one in content.codes if self._is_pending(one)]
            right = [
                one
                for one in pending
                if hmac.compare_digest(given, one.hash.encode()) and one.origin in (None, origin)
            ]
            if not right:
                tried = [replace(one, tries=one.tries + 1) for one in pending]
                content.codes = [one for one in tried if one.tries < CODE_TRIES]
                return None
            content.codes = [one for one in pending if one is not right[0]]
            token = secrets.token_urlsafe(32)
            self._add(content, token, right[0].person, origin)
            return token

    # --- Persons ---------------------------------------------------------------------------------

    def first_person(self, name: str) -> str:
        """Return the first name that was ever given here: `name`, unless there is an earlier one."""
        first = self._read().first
        if first is None:
            with self._changing() as content:
                first = content.first = content.first or name
        return first

    # --- The file --------------------------------------------------------------------------------

    def _add(self, content: _Content, token: str, person: str, origin: str | None) -> None:
        self._drop_expired(content)
        while len(content.tokens) >= MAX_TOKENS:
            oldest = min(content.tokens.values(), key=lambda token: token.used["wall"])
            del content.tokens[oldest.id]
        now, identifier = self._now(), secrets.token_hex(4)
        content.tokens[identifier] = PageToken(
            identifier, _hash(token), origin, person, self._lifetime_s, now, now
        )

    def _alive(self, content: _Content) -> list[PageToken]:
        return [token for token in content.tokens.values() if not self._is_expired(token)]

    def _drop_expired(self, content: _Content) -> None:
        content.tokens = {token.id: token for token in self._alive(content)}

    def _is_expired(self, token: PageToken) -> bool:
        return clock.passed(token.used, self._now()) > token.lifetime_s

    def _is_pending(self, code: Code) -> bool:
        return 0 <= clock.passed(code.created, self._now()) <= CODE_LIFETIME_S

    def _read(self) -> _Content:
        """Return what the file holds, read again if it has changed."""
        try:
            found = self._file.stat()
        except FileNotFoundError:
            seen: tuple[int, ...] = ()
        else:
            # Each writing makes a new file.
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._seen:
            self._content, self._seen = _load(self._file), seen
        return self._content

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_Content]:
        """Give what the file holds now, and write it down afterwards; nobody else does meanwhile."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            content = _load(self._file)
            yield content
            tokens = [asdict(token) for token in content.tokens.values()]
            codes = [asdict(code) for code in content.codes]
            save_json(self._file, {"tokens": tokens, "codes": codes, "first": content.first})
        finally:
            os.close(descriptor)


def _load(file: Path) -> _Content:
    try:
        known = load_json(file) or {}
    except ValueError as error:
        raise ValueError(
            f"{file} is damaged; remove it, which voids all tokens of pages."
        ) from error
    tokens = [PageToken(**token) for token in known.get("tokens", ())]
    codes = [Code(**code) for code in known.get("codes", ())]
    return _Content({token.id: token for token in tokens}, codes, known.get("first"))


def _hash(secret: str) -> str:
    # 256 random bits, or a code that is void in ten minutes: nothing that a slow hash would help.
    return hashlib.sha256(secret.encode()).hexdigest()
