"""Which proxy the environment names for an address, as Go's programs (kubectl among them) read it.

That is: HTTPS_PROXY or HTTP_PROXY by the address's scheme, unless NO_PROXY names the host, its domain, its
network (10.0.0.0/8) or `*`; an address of this machine is reached directly. Lower case counts before upper.
"""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from config.addresses import is_here
from config.sources import variable


def proxy_for(url: str, *, read: Callable[[str], str] = variable) -> str:
    """Return the address of the proxy; empty if there is none to use.

    Example:
        >>> environment = {"HTTPS_PROXY": "proxy:3128", "NO_PROXY": ".svc,10.0.0.0/8"}
        >>> def read(name: str) -> str:
        ...     return environment.get(name, "")
        >>> proxy_for("https://api.example.com:6443", read=read)
        'http://proxy:3128'
        >>> proxy_for("https://10.96.0.1:443", read=read), proxy_for("https://127.0.0.1:6443", read=read)
        ('', '')
    """
    parts = urlsplit(url)
    proxy = _either(f"{parts.scheme}_proxy", read)
    if not proxy or is_here(url) or _is_exempt(parts.hostname or "", parts.port, _either("no_proxy", read)):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _either(name: str, read: Callable[[str], str]) -> str:
    return read(name) or read(name.upper())


def _is_exempt(host: str, port: int | None, exempt: str) -> bool:
    return any(_covers(entry.strip().lower(), host, port) for entry in exempt.split(",") if entry.strip())


def _covers(entry: str, host: str, port: int | None) -> bool:
    if entry == "*" or _is_within(host, entry):
        return True
    name, _, number = entry.rpartition(":")
    if name and number.isdigit() and ":" not in name:
        if int(number) != port:
            return False
        entry = name
    domain = entry.removeprefix("*").removeprefix(".")
    # A leading dot means what is below the domain; without it the domain itself counts, too.
    return host.endswith(f".{domain}") or (host == domain and not entry.startswith((".", "*")))


def _is_within(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
