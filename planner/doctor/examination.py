"""All checks in their order, and how they are gone through."""

import asyncio
from collections.abc import Callable, Sequence

from config.errors import ConfigError, ObservationError, Unreachable
from connectors.kubernetes.api import ApiError
from planner.doctor.budget import check_budget
from planner.doctor.coverage import check_profile
from planner.doctor.findings import Finding, Sign, Signs, Stage, fail, skip, warn
from planner.doctor.gpus import check_gpu_operator, check_gpus
from planner.doctor.grace import check_grace
from planner.doctor.kinds import check_kinds
from planner.doctor.monitoring import check_monitors
from planner.doctor.operators import check_operators
from planner.doctor.patient import Check, Patient
from planner.doctor.probe import check_probe
from planner.doctor.prometheus import check_prometheus
from planner.doctor.queues import check_queues
from planner.doctor.records import unread
from planner.doctor.rights import check_excess, check_proxy_rights, check_rights
from planner.doctor.rivals import check_rivals
from planner.doctor.scraping import check_buckets, check_scraping
from planner.doctor.secrets import check_secrets
from planner.doctor.series import check_series
from planner.doctor.server import check_server, is_answering
from planner.doctor.storage import check_storage
from planner.doctor.targets import check_dry_run, check_holds, check_readiness, check_targets

_LIMIT_S = 60.0
CHECKS = (
    Check(name="api", stage=Stage.CLUSTER, look=check_server, needs_api=False),
    Check(name="storage", stage=Stage.CLUSTER, look=check_storage),
    Check(name="gpus", stage=Stage.CLUSTER, look=check_gpus),
    Check(name="gpu-operator", stage=Stage.CLUSTER, look=check_gpu_operator),
    Check(name="kinds", stage=Stage.PLATFORM, look=check_kinds),
    Check(name="operators", stage=Stage.PLATFORM, look=check_operators),
    Check(name="queues", stage=Stage.PLATFORM, look=check_queues),
    Check(name="prometheus", stage=Stage.PLATFORM, look=check_prometheus, needs_api=False),
    Check(name="monitors", stage=Stage.PLATFORM, look=check_monitors),
    Check(name="targets", stage=Stage.DEPLOYMENT, look=check_targets),
    Check(name="readiness", stage=Stage.DEPLOYMENT, look=check_readiness),
    Check(name="holds", stage=Stage.DEPLOYMENT, look=check_holds),
    Check(name="dry-run", stage=Stage.DEPLOYMENT, look=check_dry_run),
    Check(name="rivals", stage=Stage.DEPLOYMENT, look=check_rivals),
    Check(name="secrets", stage=Stage.DEPLOYMENT, look=check_secrets),
    Check(name="rights", stage=Stage.DEPLOYMENT, look=check_rights),
    Check(name="rights-prometheus", stage=Stage.DEPLOYMENT, look=check_proxy_rights),
    Check(name="excess", stage=Stage.DEPLOYMENT, look=check_excess),
    Check(name="budget", stage=Stage.DEPLOYMENT, look=check_budget),
    Check(name="series", stage=Stage.DEPLOYMENT, look=check_series, needs_api=False),
    Check(name="scraping", stage=Stage.DEPLOYMENT, look=check_scraping, needs_api=False),
    Check(name="buckets", stage=Stage.DEPLOYMENT, look=check_buckets, needs_api=False),
    Check(name="profile", stage=Stage.DEPLOYMENT, look=check_profile, needs_api=False),
    Check(name="grace", stage=Stage.DEPLOYMENT, look=check_grace),
    Check(name="probe", stage=Stage.DEPLOYMENT, look=check_probe, needs_api=False),
)


async def examine(
    patient: Patient,
    stages: Sequence[Stage] = tuple(Stage),
    *,
    tell: Callable[[str], None] = lambda _text: None,
) -> tuple[Finding, ...]:
    """Go through the checks of some stages and return what they found, in their order.

    Args:
        patient: What is examined.
        stages: Which checks.
        tell: Is told what is being looked at.
    """
    found: list[Finding] = []
    is_there = await is_answering(patient.records)
    # Whatever is skipped since the API server does not answer, that it does not is a failure.
    answer = () if is_there else (CHECKS[0],)
    for check in CHECKS:
        if check.stage not in stages and check not in answer:
            continue
        tell(f"{check.stage.value}: {check.name}")
        signs = await _look(check, patient, is_there=is_there)
        found.extend(_finding(check, sign) for sign in (signs if isinstance(signs, tuple) else (signs,)))
    return tuple(found)


async def _look(check: Check, patient: Patient, *, is_there: bool) -> Signs:
    if check.needs_api and not is_there:
        return skip("the API server does not answer, see api")
    try:
        async with asyncio.timeout(_LIMIT_S):
            return await check.look(patient)
    except (TimeoutError, ApiError, ConfigError, ObservationError) as error:
        return _in_words(error)


def _in_words(error: TimeoutError | ApiError | ConfigError | ObservationError) -> Sign:
    """Return what it means for a check that something could not be read."""
    if isinstance(error, ApiError):
        return warn(unread(error, "what is needed for this check"), todo=_rights_hint(error))
    if isinstance(error, ConfigError):
        return fail(str(error))
    if isinstance(error, Unreachable):
        return skip("Prometheus does not answer, see prometheus")
    if isinstance(error, ObservationError):
        return warn(f"cannot be told: {error}")
    return warn(f"was not done within {_LIMIT_S:g} s")


def _rights_hint(error: ApiError) -> str:
    return f"ask somebody with more rights; the server says: {error}" if error.is_forbidden else ""


def _finding(check: Check, sign: Sign) -> Finding:
    return Finding(
        check=f"{check.name} {sign.about}" if sign.about else check.name,
        stage=check.stage,
        verdict=sign.verdict,
        summary=sign.summary,
        details=sign.details,
        todo=sign.todo,
        grid=sign.grid,
    )
