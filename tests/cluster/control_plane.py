"""A real Kubernetes API server on etcd, on loopback, and what an administrator does with it."""

import json
import os
import secrets
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from config.clock import SystemClock
from tests.ports import free_port

Json = dict[str, Any]
_CLOCK = SystemClock()
_READY_S = 60.0
MERGE = "application/merge-patch+json"
_AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Request
    verbs: [create, update, patch, delete, deletecollection]
  - level: Metadata
"""


@dataclass(kw_only=True)
class Administrator:
    """What an administrator asks for, synchronously: for arranging and looking, not for what is tested."""

    url: str
    token: str
    ca_file: Path
    _http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            verify=ssl.create_default_context(cafile=str(self.ca_file)),
            timeout=10.0,
            trust_env=False,
        )

    def ask(self, method: str, path: str, body: object = None, *, kind: str = "application/json") -> Json:
        """Send a request that must succeed."""
        answer = self.send(method, path, body, kind=kind)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        found: Json = answer.json()
        return found

    def send(
        self, method: str, path: str, body: object = None, *, kind: str = "application/json"
    ) -> httpx.Response:
        content = None if body is None else json.dumps(body)
        return self._http.request(method, path, content=content, headers={"Content-Type": kind})

    def get(self, path: str) -> Json:
        return self.ask("GET", path)

    def merge(self, path: str, body: object) -> Json:
        return self.ask("PATCH", path, body, kind=MERGE)

    def status(self, path: str, status: Json) -> Json:
        """Play the controller: write the status of an object that has the subresource."""
        return self.ask("PATCH", f"{path}/status", {"status": status}, kind=MERGE)

    def namespace(self, prefix: str = "t") -> str:
        """Make a namespace of its own name."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def crd(self, crd: Json) -> None:
        """Define a kind and wait until every version is served."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        answer = self.send("POST", path, crd)
        assert answer.status_code in {201, 409}, answer.text
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        for version in crd["spec"]["versions"]:
            if version["served"]:
                self._until_served(f"/apis/{group}/{version['name']}/{plural}")

    def token_for(self, namespace: str, service_account: str) -> str:
        """Make a token of a service account, as the kubelet does for a pod."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        found: str = self.ask("POST", path, body)["status"]["token"]
        return found

    def close(self) -> None:
        self._http.close()

    def _until_served(self, path: str) -> None:
        began_s = _CLOCK.now_s()
        while self.send("GET", path).status_code == httpx.codes.NOT_FOUND:
            assert _CLOCK.now_s() - began_s < _READY_S, f"{path} is not served"


class ControlPlane:
    """An API server and its etcd; started, killed and started again by a test."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        memory = Path("/dev", "shm")
        self.folder = Path(tempfile.mkdtemp(prefix="kube-", dir=memory if memory.is_dir() else None))
        self.port, self._etcd_port, self._peer_port = free_port(), free_port(), free_port()
        self.token = secrets.token_hex(16)
        self._etcd: subprocess.Popen[bytes] | None = None
        self._api: subprocess.Popen[bytes] | None = None
        _make_certificate(self.folder)
        (self.folder / "tokens.csv").write_text(f"{self.token},admin,1,system:masters\n", encoding="utf-8")
        (self.folder / "audit.yaml").write_text(_AUDIT_POLICY, encoding="utf-8")
        self.admin = Administrator(url=self.url, token=self.token, ca_file=self.ca_file)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.folder / "tls.crt"

    @property
    def api_pid(self) -> int:
        assert self._api is not None
        return self._api.pid

    def start(self) -> None:
        self._start_etcd()
        self.start_api()

    def start_api(self, *flags: str) -> None:
        """Start the API server on the data that etcd has."""
        self._api = self._spawn("kube-apiserver", *_api_flags(self), *flags)
        self._until(lambda: self.admin.send("GET", "/readyz").is_success, "the API server is not ready")

    def kill_api(self) -> None:
        _end(self._api)
        self._api = None

    def stop(self) -> None:
        self.admin.close()
        self.kill_api()
        _end(self._etcd)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kubeconfig(self, token: str, *, namespace: str = "default", folder: Path | None = None) -> Path:
        """Write a kubeconfig for a token and return its path."""
        path = (folder or self.folder) / f"kubeconfig-{secrets.token_hex(4)}"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [
                {"name": "c", "cluster": {"server": self.url, "certificate-authority": str(self.ca_file)}}
            ],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
        }
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    def audit(self, *, verbs: Sequence[str] = (), user: str = "") -> Iterator[Json]:
        """Yield what the audit log has: who did what, in order."""
        for line in (self.folder / "audit.log").read_text(encoding="utf-8").splitlines():
            if user not in line:
                continue  # it is long, and most of it is of others
            with suppress(json.JSONDecodeError):  # the last line may be half written
                entry: Json = json.loads(line)
                if (not verbs or entry["verb"] in verbs) and user in entry["user"].get("username", ""):
                    yield entry

    def _start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd_port, self._peer_port))
        self._etcd = self._spawn(
            "etcd",
            "--name=t",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=t={peer}",
            "--unsafe-no-fsync",
            "--heartbeat-interval=20",
            "--election-timeout=200",
            "--log-level=error",
        )
        self._until(lambda: "true" in httpx.get(f"{client}/health", trust_env=False).text, "etcd is not up")

    def etcd_url(self) -> str:
        return f"http://127.0.0.1:{self._etcd_port}"

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                [
                    shutil.which("setpriv") or "setpriv",
                    "--pdeathsig",
                    "KILL",
                    str(self._binaries / program),
                    *arguments,
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def _until(self, condition: Callable[[], bool], problem: str) -> None:
        began_s = _CLOCK.now_s()
        while True:
            with suppress(httpx.HTTPError):
                if condition():
                    return
            assert _CLOCK.now_s() - began_s < _READY_S, f"{problem}; see {self.folder}"
            _pause()


def _api_flags(plane: ControlPlane) -> tuple[str, ...]:
    folder = plane.folder
    flags: Mapping[str, str] = {
        "etcd-servers": plane.etcd_url(),
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": str(plane.port),
        "tls-cert-file": f"{folder}/tls.crt",
        "tls-private-key-file": f"{folder}/tls.key",
        "cert-dir": f"{folder}/certs",
        "service-account-key-file": f"{folder}/tls.key",
        "service-account-signing-key-file": f"{folder}/tls.key",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-cluster-ip-range": "10.0.0.0/24",
        "token-auth-file": f"{folder}/tokens.csv",
        "authorization-mode": "RBAC",
        "allow-privileged": "true",
        "disable-admission-plugins": (
            "ServiceAccount,DefaultStorageClass,StorageObjectInUseProtection,TaintNodesByCondition"
        ),
        "endpoint-reconciler-type": "none",
        "etcd-compaction-interval": "0",
        "etcd-count-metric-poll-period": "0",
        "feature-gates": "APIPriorityAndFairness=false",
        "max-requests-inflight": "0",
        "max-mutating-requests-inflight": "0",
        "profiling": "false",
        "runtime-config": "api/beta=false,api/alpha=false,autoscaling/v2beta2=true",
        "audit-policy-file": f"{folder}/audit.yaml",
        "audit-log-path": f"{folder}/audit.log",
        "audit-log-mode": "blocking",
    }
    return tuple(f"--{name}={value}" for name, value in flags.items())


def unpacked(shared: Path) -> Path:
    """Return the folder with the control plane's programs, unpacked once per machine."""
    if folder := os.environ.get("KUBEBUILDER_ASSETS"):  # noqa: TID251 - the name that other test tools use
        return Path(folder)
    shell = shutil.which("sh") or "sh"
    done = subprocess.run([shell, shared / "envtest" / "unpack.sh"], capture_output=True, check=True)
    return Path(done.stdout.decode().strip())


def _make_certificate(folder: Path) -> None:
    """Make one key that serves TLS and signs service-account tokens."""
    program = shutil.which("openssl")
    assert program, "openssl is not installed"
    for arguments in (
        # The old form of the key is the one that this API server reads.
        ("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "tls.key"),
        (
            *("req", "-x509", "-new", "-key", "tls.key", "-out", "tls.crt", "-days", "2"),
            *("-subj", "/CN=kube-apiserver", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        ),
    ):
        subprocess.run([program, *arguments], cwd=folder, capture_output=True, check=True)


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        process.kill()
        process.wait(timeout=10.0)


def _pause() -> None:
    with suppress(subprocess.TimeoutExpired):
        # A bounded wait for something that does not end is a pause.
        subprocess.run([shutil.which("sleep") or "sleep", "1"], timeout=0.05, check=False)
