"""HTTP for those who watch this server: is it up, and how does it do; programs and pages."""

from dataclasses import asdict

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.web import authenticated

from ..errors import Refused
from ..operations import metrics
from .handlers import ProxyHandler


class HealthHandler(ProxyHandler):
    """Says that the server answers, to everybody who may reach it, and nothing else."""

    @allow_unauthenticated
    def get(self) -> None:
        """Return the one state in which this can be said."""
        self.finish({"status": "ok"})


class MetricsHandler(ProxyHandler):
    """Metrics for Prometheus, which sends a token as `Authorization: Bearer`."""

    @authenticated
    async def get(self) -> None:
        """Return them in Prometheus' text format."""
        if self.origin is not None:
            raise Refused("Metrics are not for pages.", "origin", 403)
        gpus = await self.proxy.gpus.now()
        self.set_header("Content-Type", metrics.CONTENT_TYPE)
        self.finish(metrics.render(self.proxy, gpus))


class StatusHandler(ProxyHandler):
    """What a page shows of this server and of its session all the time."""

    @authenticated
    async def get(self) -> None:
        """Return the GPUs, and how the session does that `Torch-Session` names, if there is one."""
        gpus = await self.proxy.gpus.now()
        session = self.proxy.sessions.find(self.request.headers.get("Torch-Session", ""))
        self.finish(
            {
                "gpus": [asdict(gpu) for gpu in gpus],
                "session": session.status() if session else None,
            }
        )
