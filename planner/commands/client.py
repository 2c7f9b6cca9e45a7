"""How is a running daemon asked over HTTP?"""

from urllib.parse import urlsplit

import httpx

from config.addresses import is_here
from config.errors import ConfigError, Malformed, Unreachable
from config.units import quoted
from planner.serving.codec import read_json

DEFAULT_URL = "http://127.0.0.1:9085"
_TIMEOUT_S = 5.0
_OK = 200


def ask(url: str, path: str) -> str:
    """Return the JSON text that a daemon answers.

    Args:
        url: The daemon's address; `host:port` will do.
        path: What is asked for, such as `/api/v1/state`.

    Raises:
        ConfigError: If the address is not one.
        Unreachable: If nothing answers there.
        Malformed: If what answers is not a Setpoint daemon.
    """
    base = _base(url)
    try:
        with httpx.Client(timeout=_TIMEOUT_S, trust_env=not is_here(base)) as client:
            response = client.get(f"{base}{path}")
    except (httpx.InvalidURL, UnicodeError):
        raise _not_an_address(url) from None
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise Unreachable(
            f"no daemon answers at {base} ({why}); start one with `setpoint run`, "
            "or name its address with --url"
        ) from error
    if response.status_code != _OK:
        raise Malformed(
            f"{base}{path} answered {response.status_code}{_reason(response.text)}; is it a Setpoint daemon?"
        )
    return response.text


def _base(url: str) -> str:
    full = url.strip().rstrip("/") if "://" in url else f"http://{url.strip()}"
    try:
        parts = urlsplit(full)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_address = False
    if not is_address or any(character.isspace() for character in full):
        raise _not_an_address(url)
    return full


def _not_an_address(url: str) -> ConfigError:
    return ConfigError(
        f"'{quoted(url)}' is not an address", key="--url", hint=f"write for example {DEFAULT_URL}"
    )


def _reason(text: str) -> str:
    try:
        plain = read_json(text)
    except Malformed:
        return ""
    return f" ({quoted(str(plain['error']))})" if isinstance(plain, dict) and "error" in plain else ""
