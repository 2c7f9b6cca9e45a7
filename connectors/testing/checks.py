"""How a suite runs its checks and says what was not kept."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

Check = Callable[[], Awaitable[None]]


class ConformanceError(AssertionError):
    """A connector does not keep a promise of its protocol."""


async def nothing() -> None:
    """Do nothing: the hook of a connector that needs none."""


async def run_checks(checks: Sequence[Check], *, deadline_s: float = 30.0) -> tuple[str, ...]:
    """Run checks one after the other, each with a deadline, and return their names.

    Raises:
        ConformanceError: If any did not pass; the message lists each with its error.
    """
    names, problems = [], []
    for check in checks:
        names.append(check.__name__)
        (result,) = await asyncio.gather(_within(check, deadline_s), return_exceptions=True)
        if result is not None:
            problems.append(f"{check.__name__}: {type(result).__name__}: {result}")
    if problems:
        raise ConformanceError(
            "\n".join([f"{len(problems)} of {len(names)} checks did not pass:", *problems])
        )
    return tuple(names)


async def _within(check: Check, deadline_s: float) -> None:
    async with asyncio.timeout(deadline_s):
        await check()


def require(condition: object, message: str) -> None:
    """Raise `ConformanceError` with these words unless the condition holds."""
    if not condition:
        raise ConformanceError(message)


async def error_of(call: Awaitable[object]) -> BaseException | None:
    """Return what a call raised, or None."""
    (result,) = await asyncio.gather(call, return_exceptions=True)
    return result if isinstance(result, BaseException) else None
