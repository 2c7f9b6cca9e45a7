"""A configuration that cannot be used is refused before anything is sent, and names no credential."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.errors import ConfigError
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.surroundings import Surroundings
from tests.cluster.scripted import HastyClock

SHOWN_NEVER = "t0ken-of-ours"
Change = Callable[[dict[str, Any]], object]


def _document() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443"}}],
        "users": [{"name": "u", "user": {"token": SHOWN_NEVER}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
    }


def _written(folder: Path, change: Change = lambda _: None) -> Path:
    document = _document()
    change(document)
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def _client(folder: Path, options: ApiOptions | None = None, **around: str) -> KubeClient:
    surroundings = Surroundings(home=folder, account=folder / "account", **around)
    return KubeClient(options or ApiOptions(), HastyClock(), surroundings=surroundings)


async def _refused(client: KubeClient) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        await client.open()
    await client.close()
    assert SHOWN_NEVER not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update({"current-context": "other"}), "has no context 'other'; it has test"),
        (lambda d: d.pop("current-context"), "has no current one; it has test"),
        (lambda d: d.update(contexts=None), "has no context 'test'; it has none"),
        (lambda d: d.update(clusters=[]), "names cluster 'c', which has no server address"),
        (lambda d: d["clusters"][0]["cluster"].clear(), "names cluster 'c', which has no server address"),
        (lambda d: d["clusters"][0]["cluster"].update(server="api:6443"), "which has no server address"),
        (
            lambda d: d["users"][0].update(user={"exec": {}, "token": SHOWN_NEVER}),
            "cannot be used: exec: malformed",
        ),
        (lambda d: d["users"][0].pop("user"), "cannot be used: it does not have the shape of one"),
        (lambda d: d.update(clusters="nonsense"), "cannot be used: it does not have the shape of one"),
        (
            lambda d: d["clusters"][0]["cluster"].update({"certificate-authority-data": "%%%"}),
            "a certificate or key of context test",
        ),
        (
            lambda d: d["clusters"][0]["cluster"].update({"certificate-authority": "absent.crt"}),
            "cannot be used: File does not exist",
        ),
        (
            lambda d: d["users"][0].update(user={"exec": {"command": "/absent", "apiVersion": "v1"}}),
            "No such file or directory: /absent",
        ),
        (lambda d: d["users"][0].update(user={"token": "two\nlines"}), "more than one line of plain text"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_says_where(
    tmp_path: Path, change: Change, words: str
) -> None:
    client = _client(tmp_path, ApiOptions(kubeconfig=_written(tmp_path, change)))

    assert words in str(await _refused(client))


async def test_a_file_that_is_no_yaml_says_the_line(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(f"apiVersion: v1\ntoken: {SHOWN_NEVER}\n  users: [\n", encoding="utf-8")

    assert "line 3 is not YAML" in str(await _refused(_client(tmp_path, ApiOptions(kubeconfig=path))))


async def test_no_configuration_at_all_says_what_to_do(tmp_path: Path) -> None:
    error = await _refused(_client(tmp_path))

    assert f"there is no kubeconfig {tmp_path}/.kube/config" in str(error)
    assert "run in a pod with a service account, or name a kubeconfig" in str(error)


async def test_a_request_tells_it_as_an_error_of_the_api(tmp_path: Path) -> None:
    with pytest.raises(ApiError) as caught:
        await _client(tmp_path).get("/version")

    assert (caught.value.status, caught.value.reason) == (0, "Configuration")


def _account(folder: Path, *, token: str = SHOWN_NEVER, authority: str = "some") -> None:
    account = folder / "account"
    account.mkdir()
    for name, text in (("token", token), ("ca.crt", authority), ("namespace", "llm\n")):
        (account / name).write_text(text, encoding="utf-8")


async def test_an_empty_service_account_says_what_is_empty(tmp_path: Path) -> None:
    _account(tmp_path, token="")
    error = await _refused(_client(tmp_path, service_host="10.0.0.1", service_port="443"))

    assert "the service account of the pod cannot be used: Token file exists but empty" in str(error)


async def test_an_authority_that_is_none_says_so(tmp_path: Path) -> None:
    _account(tmp_path)
    error = await _refused(_client(tmp_path, service_host="10.0.0.1", service_port="443"))

    assert "a certificate or key of the service account of the pod cannot be read" in str(error)


async def test_the_usual_file_is_used_last(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    _written(tmp_path).rename(tmp_path / ".kube" / "config")
    client = _client(tmp_path)

    access = await client.open()
    await client.close()

    assert access.server == "https://api.example:6443"


async def test_several_files_of_the_shell_are_merged(tmp_path: Path) -> None:
    def without_users(document: dict[str, Any]) -> None:
        document["users"] = []

    first = _written(tmp_path, without_users).rename(tmp_path / "first")
    second = tmp_path / "second"
    second.write_text(yaml.safe_dump({"users": _document()["users"]}), encoding="utf-8")
    client = _client(tmp_path, kubeconfig=f"{first}:{second}")

    access = await client.open()
    await client.close()

    assert access.how == f"context test of {first}:{second}"


async def test_a_context_that_is_named_means_a_kubeconfig_even_in_a_pod(tmp_path: Path) -> None:
    _account(tmp_path)
    options = ApiOptions(context="test")
    client = _client(
        tmp_path,
        options,
        service_host="10.0.0.1",
        service_port="443",
        kubeconfig=str(_written(tmp_path)),
    )

    access = await client.open()
    await client.close()

    assert (access.server, access.namespace) == ("https://api.example:6443", "default")
