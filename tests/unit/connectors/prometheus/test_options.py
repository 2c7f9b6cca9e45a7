"""Which settings are refused, and what is never shown."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from connectors.prometheus.options import HttpOptions, checked_url

WORD = "s3cret"


def test_secrets_are_not_shown() -> None:
    shown = [
        repr(HttpOptions(token=WORD, headers=(("x-key", WORD),))),
        repr(HttpOptions(username="me", password=WORD)),
    ]

    assert not any(WORD in text for text in shown)
    assert "me" in shown[1]


def test_the_credentials_of_a_header_are_a_secret_without_their_scheme_too() -> None:
    secrets = HttpOptions(headers=(("authorization", f"Bearer {WORD}"), ("x-key", "k"))).secrets()

    assert secrets == (f"Bearer {WORD}", "k", WORD)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HttpOptions(token=WORD, username="me"), "more than one of token, token_file and username"),
        (lambda: HttpOptions(token=WORD, token_file=Path("t")), "more than one of"),
        (lambda: HttpOptions(password=WORD), "a password is set without a username"),
        (lambda: HttpOptions(client_key_file=Path("k")), "a client key is set without its certificate"),
        (
            lambda: HttpOptions(token=f"{WORD}\n"),
            "token: contains characters that no HTTP header can carry",
        ),
        (lambda: HttpOptions(headers=(("x-key", "ü"),)), "headers.x-key: contains characters"),
        (
            lambda: HttpOptions(ca_file=Path("/nowhere.pem")).tls_context(),
            "cannot read certificates from /nowhere",
        ),
        (
            lambda: HttpOptions(client_cert_file=Path("/no.pem")).tls_context(),
            "cannot use the client certificate",
        ),
        (
            lambda: checked_url(f"http://me:{WORD}@host", key="prometheus.url"),
            "prometheus.url: the address contai",
        ),
        (lambda: checked_url("prometheus:9090", key="prometheus.url"), "not an address: 'prometheus:9090'"),
        (lambda: checked_url("", key="prometheus.url"), "expected http://host:port"),
    ],
)
def test_an_unusable_setting_is_named(make: object, words: str) -> None:
    assert callable(make)

    with pytest.raises(ConfigError) as caught:
        make()

    assert words in str(caught.value)
    assert WORD not in str(caught.value)
