"""Which engine's curves are used, and getting them ready without keeping scipy."""

import asyncio
from collections.abc import Callable

from config.errors import ConfigError, InternalError
from config.policy import EngineProfile, Policy
from config.settings import Settings
from planner.core.curves import is_known
from planner.profiling.apart import Apart
from planner.profiling.load import load_profile

EMBEDDED = "embedded"


def profile_of(settings: Settings) -> EngineProfile:
    """Read the profile that the settings name.

    Raises:
        ConfigError: If none is named or it cannot be used.
    """
    if settings.profile is None:
        raise ConfigError(
            "not set",
            key="profile",
            hint="give the folder with the engine's profiled curves (--profile PATH); "
            "`embedded` is the synthetic engine of the demo",
        )
    if settings.profile == EMBEDDED:
        from planner.simulation.profile import embedded_profile

        return embedded_profile()
    return load_profile(settings.profile)


def sampling_of(policy: Policy) -> Apart | None:
    """Begin to sample a policy's profiles in another process; None if all are known, or there can be none."""
    profiles = tuple(pool.profile for pool in policy.pools if not is_known(pool.profile))
    try:
        return Apart(profiles) if profiles else None
    except OSError as error:
        _say_that_it_is_done_here(error)
        return None


def finish(sampling: Apart | None) -> None:
    """Wait for the samples; where the other process failed, this one samples when it needs them.

    Raises:
        ConfigError: If there is too little memory for that.
    """
    if sampling is not None:
        _take(sampling.finish)


async def finish_before(stop: "asyncio.Future[str]", sampling: Apart | None) -> bool:
    """Wait for the samples as `finish` does, but not beyond a stop, which ends the other process.

    Returns:
        False if the stop came first.

    Raises:
        ConfigError: If there is too little memory.
    """
    if sampling is None:
        return not stop.done()
    work = asyncio.ensure_future(asyncio.to_thread(sampling.finish))
    awaited: tuple[asyncio.Future[None] | asyncio.Future[str], ...] = (work, stop)
    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    if stop.done():
        sampling.end()
        await asyncio.gather(work, return_exceptions=True)
        return False
    _take(work.result)
    return True


def _take(finished: Callable[[], None]) -> None:
    try:
        finished()
    except InternalError as error:
        _say_that_it_is_done_here(error)


def _say_that_it_is_done_here(error: Exception) -> None:
    from planner.serving.log import get_logger

    get_logger().warning(
        "the profile is sampled in the daemon itself, which grows by some 45 MB", why=str(error)
    )
