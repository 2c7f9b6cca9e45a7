"""What came of it: a result, or what was raised instead.

Connectors and predictors may come from third parties, and what they raise is beyond anybody's list. It must
cost an interval at most, never the loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from config.errors import SetpointError
from planner.serving.desk import Desk

T = TypeVar("T")


async def attempt(work: Callable[[], Awaitable[T]]) -> T | BaseException:
    """Return what the work returns, or what it raises.

    Work that was cancelled from inside counts as raising; the caller's own cancellation passes.

    Example:
        >>> async def divide() -> float:
        ...     return 1 / 0
        >>> asyncio.run(attempt(divide))
        ZeroDivisionError('division by zero')
    """

    async def call() -> T:
        return await work()

    (result,) = await asyncio.gather(call(), return_exceptions=True)
    return result


def words(error: BaseException) -> str:
    """Return what an error says; its kind, where it says nothing or nobody foresaw it."""
    text, kind = str(error), type(error).__name__
    if not text:
        return kind
    return text if is_foreseen(error) else f"{kind}: {text}"


def is_foreseen(error: BaseException) -> bool:
    """Tell whether an error belongs to the outside world, rather than to a faulty program."""
    return isinstance(error, SetpointError | TimeoutError | OSError)


def tell(desk: Desk, part: str, error: BaseException) -> None:
    """Hand an error in, with its traceback where nobody foresaw it."""
    if is_foreseen(error):
        desk.failed(part, error)
    else:
        desk.crashed(part, error)
