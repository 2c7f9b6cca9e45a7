"""What the process finds around it: a pod's service account, or the kubeconfig of a user's shell."""

from dataclasses import dataclass, field
from pathlib import Path

from config.sources import variable

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the process finds around it.

    Attributes:
        service_host: Host of the API server, as a pod is told.
        service_port: Its port.
        kubeconfig: Kubeconfig files that the user's shell names, separated by colons.
        home: The user's home.
        account: Folder of the pod's service account.
    """

    service_host: str = ""
    service_port: str = ""
    kubeconfig: str = ""
    home: Path = field(default_factory=Path.home)
    account: Path = _ACCOUNT

    @classmethod
    def of_process(cls) -> "Surroundings":
        """Return those of this process."""
        return cls(
            service_host=variable("KUBERNETES_SERVICE_HOST"),
            service_port=variable("KUBERNETES_SERVICE_PORT"),
            kubeconfig=variable("KUBECONFIG"),
        )

    @property
    def is_pod(self) -> bool:
        """Tell whether this is a pod with a service account."""
        names = ("token", "ca.crt")
        return bool(self.service_host) and all((self.account / name).is_file() for name in names)
