"""Which proxy the environment names."""

import pytest

from config.proxies import proxy_for


def _proxy(url: str, **environment: str) -> str:
    return proxy_for(url, read=lambda name: environment.get(name, ""))


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("https://api:6443", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://api:6443", {"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "http://low:1"),
        ("https://api:6443", {"HTTP_PROXY": "http://p:1"}, ""),
        ("http://api:6443", {"HTTP_PROXY": "p:1"}, "http://p:1"),
        ("https://api:6443", {}, ""),
        ("https://localhost:6443", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://[::1]:6443", {"HTTPS_PROXY": "http://p:1"}, ""),
    ],
)
def test_the_scheme_decides(url: str, environment: dict[str, str], expected: str) -> None:
    assert _proxy(url, **environment) == expected


@pytest.mark.parametrize(
    ("host", "exempt"),
    [
        ("api.corp.example", "*"),
        ("api.corp.example", "corp.example"),
        ("api.corp.example", "other, .corp.example"),
        ("api.corp.example", "*.corp.example"),
        ("api.corp.example", "API.corp.example:6443"),
        ("10.96.0.1", "10.0.0.0/8"),
        ("10.96.0.1", "10.96.0.1"),
        ("[fd00::1]", "fd00::/8"),
    ],
)
def test_what_no_proxy_names_is_reached_directly(host: str, exempt: str) -> None:
    assert _proxy(f"https://{host}:6443", HTTPS_PROXY="http://p:1", NO_PROXY=exempt) == ""


@pytest.mark.parametrize(
    ("host", "exempt"),
    [
        ("corp.example", ".corp.example"),
        ("mycorp.example", "corp.example"),
        ("api.corp.example", "api.corp.example:443"),
        ("10.96.0.1", "192.168.0.0/16"),
        ("api.corp.example", ","),
    ],
)
def test_what_no_proxy_does_not_name_is_not(host: str, exempt: str) -> None:
    assert _proxy(f"https://{host}:6443", HTTPS_PROXY="http://p:1", NO_PROXY=exempt) == "http://p:1"
