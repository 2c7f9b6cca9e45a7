"""Does what is sent to an address cross a network that others can read?"""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_here(url: str) -> bool:
    """Tell whether an address is on this machine.

    Example:
        >>> is_here("http://localhost:9085"), is_here("http://[::1]/"), is_here("http://etcd:2379")
        (True, True, False)
    """
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_bare(url: str) -> bool:
    """Tell whether an address sends what it is told over a network unencrypted.

    Example:
        >>> is_bare("http://etcd:2379"), is_bare("https://etcd:2379"), is_bare("http://127.0.0.1:2379")
        (True, False, False)
    """
    return urlsplit(url).scheme == "http" and not is_here(url)
