"""Several daemons of one deployment, each with a service account and a way to the API server of its own."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from connectors.base import Fleet
from tests.cluster.control_plane import Json
from tests.cluster.deployed import token_of
from tests.cluster.gate import Gate
from tests.e2e.frontend import Load
from tests.e2e.servers import SCRIPT, Setpoint, until
from tests.e2e.stage import DEPLOYMENTS, Stage

# Answers come in time for it on a machine that is busy as well.
LEASE_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the audit log has of one write.

    Attributes:
        at: When the API server received it.
        who: The service account.
        verb: What was asked for.
        what: Of which object.
        sent: Its body.
        code: What was answered.
    """

    at: str
    who: str
    verb: str
    what: str
    sent: Json
    code: int

    @property
    def version(self) -> str:
        """The resource version that was decided on."""
        return str(self.sent.get("metadata", {}).get("resourceVersion", ""))

    @property
    def count(self) -> int:
        """The replicas that were asked for; -1 if that is not what it is about."""
        found: int = self.sent.get("spec", {}).get("replicas", -1)
        return found

    @property
    def holder(self) -> str:
        """Whom a Lease names."""
        return str(self.sent.get("spec", {}).get("holderIdentity", ""))

    def __str__(self) -> str:
        """Return a row of a table."""
        detail = self.holder or (f"replicas={self.count} rv={self.version}" if self.count >= 0 else "")
        return f"{self.at[11:23]} {self.who:<9} {self.verb:<6} {self.what:<34} {self.code} {detail}"


class Company:
    """The daemons by name."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self._folder = stage, folder
        self.gates: dict[str, Gate] = {}
        self.of: dict[str, Stage] = {}
        self._ends = AsyncExitStack()

    async def open(self, load: Load) -> None:
        """Begin to serve, before the first daemon."""
        self.stage.scene.frontend.carry(load)
        await self.stage.scene.prometheus.start(self.stage.scene.frontend.target)

    async def start(self, name: str, **settings: object) -> Setpoint:
        """Start a daemon of this name."""
        folder = self._folder / name
        folder.mkdir()
        setpoint = Setpoint(folder, SCRIPT)
        gate = Gate(plane=self.stage.plane, keeps_what_was_sent=True)
        self.gates[name] = await self._ends.enter_async_context(gate.standing())
        own = replace(self.stage, scene=replace(self.stage.scene, setpoint=setpoint))
        self.of[name] = own
        admin, namespace = self.stage.plane.admin, self.stage.namespace
        token = token_of(admin, namespace, "deployment", account=name)
        config = gate.kubeconfig(token, namespace=namespace, folder=folder)
        given = {"kubernetes__kubeconfig": str(config), "kubernetes__lease_duration": f"{LEASE_S:g}s"}
        asked = own.settings(**given, **DEPLOYMENTS, **settings)
        await setpoint.start("--config", str(own.scene.write_settings(**asked)))
        return setpoint

    async def close(self) -> None:
        for own in self.of.values():
            await own.scene.setpoint.kill()
        await self._ends.aclose()

    def freeze(self, name: str) -> None:
        os.kill(self.of[name].scene.setpoint.pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        os.kill(self.of[name].scene.setpoint.pid, signal.SIGCONT)

    async def leads(self, name: str, *, within_s: float = 20.0) -> float:
        """Wait until a daemon leads by what the Lease says and by what it itself decides by."""
        return await until(lambda: self.is_leading(name), f"{name} leads", within_s=within_s)

    async def is_leading(self, name: str) -> bool:
        """Tell whether a daemon's last step found that it may write."""
        state = await self.of[name].scene.setpoint.read("/api/v1/state")
        fleet = (state["observation"] or {}).get("fleet") or {}
        return fleet.get("standby") == "" and "pools" in fleet

    async def leaders(self) -> list[str]:
        """Return the daemons that run and lead, by what they themselves decide by."""
        running = [name for name, own in self.of.items() if not own.scene.setpoint.has_ended]
        return [name for name in running if await self.is_leading(name)]

    def stood_by_at(self, name: str) -> str:
        """Return when a daemon first found that it may not write, in the way of the audit log."""
        for step in self.of[name].scene.setpoint.steps():
            fleet = step.observation.fleet
            if isinstance(fleet, Fleet) and fleet.standby:
                return datetime.fromtimestamp(step.at_wall_s, tz=UTC).isoformat()
        return ""

    def audit(self, *resources: str) -> list[Entry]:
        """Return what the daemons wrote into the namespace, in the order of its arrival; no dry runs."""
        found = [
            _entry(entry)
            for entry in self.stage.plane.audit(verbs=("create", "update", "patch", "delete"))
            if entry["objectRef"].get("namespace") == self.stage.namespace
            and entry["user"]["username"].startswith("system:serviceaccount:")
            and "dryRun" not in entry["requestURI"]
            and entry["objectRef"]["resource"] in (resources or entry["objectRef"]["resource"])
        ]
        return sorted(found, key=lambda entry: entry.at)

    def writes(self) -> list[Entry]:
        """Return the attempts to scale."""
        return self.audit("deployments")

    def taken_at(self, name: str) -> str:
        """Return when the API server stored that this daemon leads."""
        return next(self._claims(name)).at

    def _claims(self, name: str) -> Iterator[Entry]:
        for entry in self.audit("leases"):
            if entry.who == name and entry.code < 300 and entry.holder:
                yield entry


@asynccontextmanager
async def company(stage: Stage, folder: Path) -> AsyncIterator[Company]:
    """Give daemons that end with the test."""
    found = Company(stage, folder)
    try:
        yield found
    finally:
        await found.close()


def _entry(entry: Json) -> Entry:
    about = entry["objectRef"]
    parts = (about["resource"], about.get("name", ""), about.get("subresource", ""))
    return Entry(
        at=entry["requestReceivedTimestamp"],
        who=entry["user"]["username"].rpartition(":")[2],
        verb=entry["verb"],
        what="/".join(part for part in parts if part),
        sent=entry.get("requestObject") or {},
        code=entry["responseStatus"]["code"],
    )
