"""How a user names the service that Prometheus is."""

import pytest

from config.errors import ConfigError
from config.services import Service, parse_service


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mon/prometheus-operated:9090", Service(namespace="mon", name="prometheus-operated", port="9090")),
        (" a/b:web ", Service(namespace="a", name="b", port="web")),
        ("https:a/b:9090", Service(namespace="a", name="b", port="9090", is_tls=True)),
        ("a/b:80/prometheus/", Service(namespace="a", name="b", port="80", prefix="/prometheus")),
    ],
)
def test_a_service_is_read(text: str, expected: Service) -> None:
    assert parse_service(text) == expected


@pytest.mark.parametrize(
    "text", ["prometheus:9090", "a/b", "a/b:", "A/b:9090", "a/b:9090?x=y", "http://a/b:9090", "a/b/c:9090"]
)
def test_what_is_no_service_says_what_was_expected(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a service with its namespace and port") as caught:
        parse_service(text)

    assert caught.value.key == "prometheus.service"
    assert "monitoring/prometheus-operated:9090" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "url"),
    [("a/b:9090", "http://b.a.svc:9090"), ("https:a/b:web/x", "https://b.a.svc/x")],
)
def test_a_service_has_an_address_for_people(text: str, url: str) -> None:
    assert parse_service(text).url == url
