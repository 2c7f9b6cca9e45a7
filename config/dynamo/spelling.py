"""How a key of Dynamo's planner may be spelt: as an argument, in camelCase or snake_case, prefixed or not."""

import difflib
import re

from config.dynamo.key import Key, Section
from config.dynamo.keys import BY_NAME

_PREFIX = "planner_"
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def plain_name(written: str) -> str:
    """Return how the table would spell a key.

    Example:
        >>> [plain_name(x) for x in ("plannerKalmanQLevel", "--min-endpoint", "planner_kalman_r", "ttft")]
        ['kalman_q_level', 'min_endpoint', 'kalman_r', 'ttft']
    """
    snake = _HUMP.sub("_", written.strip().removeprefix("--")).replace("-", "_").lower()
    return snake.removeprefix(_PREFIX)


def key_of(written: str, section: Section) -> Key | None:
    """Return the key that was written, in any spelling; None if there is none in this section."""
    key = BY_NAME.get(plain_name(written))
    return key if key is not None and section in key.sections else None


def nearest_key(written: str, section: Section) -> str:
    """Return the key that was probably meant, in the spelling of what was written; empty if none is near.

    Example:
        >>> nearest_key("plannerMinEndpont", Section.PLANNER), nearest_key("--min-endpont", Section.PLANNER)
        ('plannerMinEndpoint', '--min-endpoint')
        >>> nearest_key("tfft", Section.SLA), nearest_key("colour", Section.SLA)
        ('ttft', '')
    """
    names = [name for name, key in BY_NAME.items() if section in key.sections]
    near = difflib.get_close_matches(plain_name(written)[:64], names, n=1, cutoff=0.7)
    return spelled(near[0], like=written) if near else ""


def spelled(name: str, *, like: str) -> str:
    """Spell a key of the table in the manner of another key.

    Example:
        >>> spelled("kalman_r", like="plannerMinEndpoint"), spelled("kalman_r", like="min_endpoint")
        ('plannerKalmanR', 'kalman_r')
    """
    if like.startswith("--"):
        return f"--{name.replace('_', '-')}"
    if "-" in like:
        return name.replace("_", "-")
    if like == like.lower():
        return f"{_PREFIX}{name}" if like.startswith(_PREFIX) else name
    first, *rest = f"{_PREFIX if like.startswith('planner') else ''}{name}".split("_")
    return first + "".join(part.capitalize() for part in rest)
