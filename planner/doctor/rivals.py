"""Does anybody else scale the same target?"""

from collections.abc import Mapping

from connectors.kubernetes.rivals import find_rivals
from planner.doctor.findings import Sign, fail, listed, ok, skip, warn
from planner.doctor.patient import Patient
from planner.doctor.pools import Pool, examined_pools

_REMEDY = (
    "remove the other one, or leave this target to it; two that scale the same undo each other"
    " (kubernetes.allow_rivals=true lets Setpoint go ahead)"
)


async def check_rivals(patient: Patient) -> tuple[Sign, ...] | Sign:
    """Look for autoscalers, and for a planner inside the same graph deployment."""
    pools = [pool for pool in await examined_pools(patient) if pool.target and pool.view]
    if not pools:
        return skip("no target was found")
    targets = [pool.target for pool in pools if pool.target]
    found = await find_rivals(patient.records.api, patient.namespace, targets)
    allowed = patient.settings.kubernetes.allow_rivals
    signs = [_judge(pool, _of(pool, found.by_path), is_allowed=allowed) for pool in pools]
    if found.unread:
        signs.append(
            warn(f"not looked for: {listed(found.unread)}", "they may not be listed", about="unread")
        )
    return tuple(signs)


def _of(pool: Pool, by_path: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    keys = {pool.target.parent.path, *(key.path for key in pool.target.needs())} if pool.target else set()
    others = [rival for path in sorted(keys) for rival in by_path.get(path, ())]
    own = pool.view.rivals if pool.view else ()
    return tuple(dict.fromkeys((*own, *others)))


def _judge(pool: Pool, rivals: tuple[str, ...], *, is_allowed: bool) -> Sign:
    if not rivals:
        return ok("nobody else scales it", about=pool.name)
    say = warn if is_allowed else fail
    return say(f"somebody else scales {pool.words}: {listed(rivals)}", todo=_REMEDY, about=pool.name)
