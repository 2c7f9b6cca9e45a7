"""Ports on loopback for the servers that tests start."""

import itertools
import os
import socket

# Below the ports that the kernel hands out to connections, so that none takes one between the choice and the
# server's start; workers of one run begin far apart, so that they do not choose the same one at once.
_FIRST, _COUNT, _STRIDE = 20_000, 12_000, 1_009
_chosen = itertools.count((os.getpid() * _STRIDE) % _COUNT)


def free_port() -> int:
    """Return a port that nobody listens on."""
    for number in itertools.islice(_chosen, _COUNT):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", _FIRST + number % _COUNT))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
    raise AssertionError("no port is free")
