"""What a user can say about reaching the API server of Kubernetes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """How to reach the API server, and how much of it may be used.

    Attributes:
        kubeconfig: The file to use; None takes the pod's service account, else KUBECONFIG's, else
            the usual one.
        context: Context of the kubeconfig; empty takes its current one.
        namespace: Where what has no namespace of its own is looked for; empty takes the pod's own or the
            context's.
        proxy: HTTP proxy on the way; empty takes the kubeconfig's or HTTPS_PROXY.
        ca_file: Authorities that sign the server's certificate; None takes the configuration's.
        verify_tls: False accepts any certificate.
        timeout_s: Longest wait for one answer.
        retries: Further attempts after no answer, 429 or 5xx.
        requests_per_second: Most requests, averaged over a few seconds.
    """

    kubeconfig: Path | None = None
    context: str = ""
    namespace: str = ""
    proxy: str = ""
    ca_file: Path | None = None
    verify_tls: bool = True
    timeout_s: float = 5.0
    retries: int = 3
    requests_per_second: float = 10.0
