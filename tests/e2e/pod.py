"""A container as the kubelet starts it: mounts of its own, the variables of its pod, and nothing else.

The daemon runs in a mount namespace, so that what it finds under /var/run/secrets and /etc is what a pod has.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.clock import SystemClock
from tests.e2e.servers import Setpoint, until

Json = dict[str, Any]
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# Mounts each folder where it belongs, on top of what this machine has there, and leaves no other trace.
_ENTER = """\
set -e
scratch=$1; shift
mount -t tmpfs none "$scratch"
mkdir "$scratch/upper" "$scratch/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$scratch/upper,workdir=$scratch/work" none /etc
mount -t tmpfs none /run
while [ "$1" != -- ]; do
  mkdir -p "$2"
  mount --bind -o ro "$1" "$2"
  shift 2
done
shift
exec env -i "$@"
"""


class Pod(Setpoint):
    """The daemon in a container.

    Args:
        folder: What is the test's own.
        program: What the container starts.
        mounts: Folders of this machine by where they are mounted.
    """

    def __init__(self, folder: Path, program: str, mounts: Mapping[str, Path]) -> None:
        super().__init__(folder, program)
        self._mounts = mounts

    async def spawn(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        """Start it under this environment alone, in its mounts."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        mounts = [word for target, source in self._mounts.items() for word in (str(source), target)]
        given = [f"{name}={value}" for name, value in (environment or {}).items()]
        command, self.program = self.program, shutil.which("unshare") or "unshare"
        own = () if os.geteuid() == 0 else ("--map-root-user",)
        try:
            await super().spawn(
                *("--mount", *own, "sh", "-c", _ENTER, "pod", str(scratch), *mounts, "--"),
                *(*given, command, *arguments),
                environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )
        finally:
            self.program = command

    async def starts(self) -> None:
        """Wait until it answers its probe."""
        await until(lambda: self.is_fine("/healthz"), "the probe is answered")

    async def ends(self) -> int:
        """Wait until it has ended by itself; return its exit code."""
        assert self._process is not None
        async with asyncio.timeout(30.0):
            return await self._process.wait()

    def environment(self) -> dict[str, str]:
        """Return the variables that the running process has."""
        words = Path(f"/proc/{self.pid}/environ").read_text(encoding="utf-8").split("\0")
        return dict(word.split("=", 1) for word in words if word)


def lay_out(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files as the kubelet does for a volume: links into a folder that is exchanged as a whole."""
    data = folder / "..data"
    version = folder / f"..{SystemClock().wall_s():.0f}"
    version.mkdir(parents=True)
    for name, text in files.items():
        (version / name).write_text(text, encoding="utf-8")
        (folder / name).symlink_to(f"..data/{name}")
    data.symlink_to(version.name)
    return folder


def variables_of(container: Json, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a container; what is said by a field of the pod is looked up.

    Args:
        container: Its specification, or anything else that has `env` or `envs`.
        fields: The pod's fields by path.
    """
    return {
        one["name"]: one["value"] if "value" in one else fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
        for one in (*container.get("envs", ()), *container.get("env", ()))
    }
