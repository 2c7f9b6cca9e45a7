"""What is set for the process as a whole, before any library is loaded."""

import os
from collections.abc import MutableMapping

# OpenBLAS starts a thread per core and lets them wait in a loop. For the small systems that curves are built
# from, that costs a second of CPU time at each start, and tens of MB that nobody uses.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS",)


def keep_small(environment: MutableMapping[str, str] = os.environ) -> None:  # noqa: TID251 - set, not read
    """Keep linear algebra on one thread, unless the user said how many; call it before numpy is imported.

    Example:
        >>> environment = {"OPENBLAS_NUM_THREADS": "4"}
        >>> keep_small(environment)
        >>> environment
        {'OPENBLAS_NUM_THREADS': '4'}
    """
    for name in _ONE_THREAD:
        environment.setdefault(name, "1")
