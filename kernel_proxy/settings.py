"""What the extension sets up once and all handlers use."""

import logging
import secrets
from dataclasses import dataclass, field

from .access.admission import Admission
from .access.hosts import Hosts
from .files.uploads import Uploads
from .limits import Limits
from .operations.gpu import Gpus
from .session.idle import Culling
from .session.sessions import Sessions
from .tensors.tensors import Budget

PROTOCOL = 1


@dataclass
class Proxy:
    """The proxy's parts. `origins` are exact, as browsers write them."""

    sessions: Sessions
    culling: Culling
    admission: Admission
    hosts: Hosts
    origins: set[str]
    log: logging.Logger
    budget: Budget
    #: The kernelspecs that a page may choose from, the first for one that chooses none.
    kernels: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    gpus: Gpus = field(default_factory=Gpus)
    uploads: Uploads = field(default_factory=Uploads)
    #: Another one after each start: uploads and tensor handles go with the process.
    id: str = field(default_factory=lambda: secrets.token_hex(8))
