"""Does the API server answer, and who are we there?"""

from http import HTTPStatus

from connectors.kubernetes.api import Api, ApiError
from connectors.kubernetes.meta import text
from planner.doctor.findings import Sign, fail, ok, warn
from planner.doctor.patient import Patient
from planner.doctor.records import Records

_SLOW_S = 1.0
_MS_PER_S = 1000.0
# The newest first; older servers have none of them.
_WHO_AM_I = ("v1", "v1beta1", "v1alpha1")


async def check_server(patient: Patient) -> Sign:
    """Ask the API server for its version."""
    began_s = patient.clock.now_s()
    try:
        version = await patient.records.api.get("/version")
    except ApiError as error:
        return _no_answer(patient, error)
    took_s = patient.clock.now_s() - began_s
    user = await _who(patient.records.api)
    who = f"we are {user} ({patient.how})" if user else f"we use {patient.how}"
    found = f"Kubernetes {text(version, 'gitVersion') or 'of unknown version'} at {patient.server} answers"
    summary = f"{found} in {took_s * _MS_PER_S:.0f} ms; {who}"
    if took_s > _SLOW_S:
        return warn(summary, todo="find out what is slow on the way: each decision waits for such answers")
    return ok(summary)


def _no_answer(patient: Patient, error: ApiError) -> Sign:
    if not patient.server:
        return fail(f"no API server can be asked: {error}", todo="kubectl config get-contexts")
    where = f"the API server at {patient.server}"
    if error.status == HTTPStatus.UNAUTHORIZED:
        return fail(
            f"{where} does not accept our credentials (401; {patient.how})",
            todo="log in again, or choose another --set kubernetes.context=NAME",
        )
    if error.is_forbidden:
        return warn(f"{where} answers, but not to us (403 for /version; {patient.how})")
    return fail(
        f"{where} does not answer: {error}",
        todo="check kubernetes.kubeconfig, kubernetes.context and the network: kubectl version",
    )


async def is_answering(records: Records) -> bool:
    """Tell whether asking the API server for more makes sense."""
    try:
        await records.get("/version")
    except ApiError as error:
        return error.is_forbidden
    return True


async def _who(api: Api) -> str:
    """Return our user name as the server knows it; empty if it does not say."""
    for version in _WHO_AM_I:
        group = f"authentication.k8s.io/{version}"
        body = {"apiVersion": group, "kind": "SelfSubjectReview"}
        try:
            answer = await api.post(f"/apis/{group}/selfsubjectreviews", body)
        except ApiError as error:
            if error.is_missing:
                continue
            return ""
        return text(answer, "status", "userInfo", "username")
    return ""
