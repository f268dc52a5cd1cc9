"""HTTP for those who watch this server: is it up, and how does it do."""

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.web import authenticated

from ..errors import Refused
from ..operations import metrics
from ..operations.gpu import Gpus
from .handlers import ProxyHandler


class HealthHandler(ProxyHandler):
    """Says that the server answers, to everybody who may reach it, and nothing else."""

    @allow_unauthenticated
    def get(self) -> None:
        """Return the one state in which this can be said."""
        self.finish({"status": "ok"})


class MetricsHandler(ProxyHandler):
    """Metrics for Prometheus, which sends a token as `Authorization: Bearer`."""

    _gpus = Gpus()

    @authenticated
    async def get(self) -> None:
        """Return them in Prometheus' text format."""
        if self.origin is not None:
            raise Refused("Metrics are not for pages.", "origin", 403)
        gpus = await self._gpus.now()
        self.set_header("Content-Type", metrics.CONTENT_TYPE)
        self.finish(metrics.render(self.proxy, gpus))
