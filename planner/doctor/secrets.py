"""Do the secrets exist that the pods name? Only whether they do; their contents are not looked at."""

from connectors.kubernetes.api import ApiError
from connectors.kubernetes.builtin import SECRETS
from planner.doctor.findings import Sign, counted, fail, listed, ok, skip, warn
from planner.doctor.patient import Patient
from planner.doctor.pools import examined_pools
from planner.doctor.records import Records


async def check_secrets(patient: Patient) -> Sign:
    """Ask for each secret by its name."""
    pools = [pool for pool in await examined_pools(patient) if pool.view]
    if not pools:
        return skip("no target was found")
    names = sorted({name for pool in pools if pool.view for name in pool.view.secrets})
    if not names:
        return ok("the pods name no secrets")
    found = {name: await _exists(patient.records, patient.namespace, name) for name in names}
    missing = [name for name, exists in found.items() if exists is False]
    if missing:
        return fail(
            f"the pods name {counted(len(names), 'secret')}; not in namespace {patient.namespace}:"
            f" {listed(missing)}",
            "their pods do not start, or cannot pull their image",
            todo="\n".join(_create(patient.namespace, name) for name in missing),
        )
    unread = [name for name, exists in found.items() if exists is None]
    if unread:
        return warn(f"whether these secrets exist may not be asked: {listed(unread)}", "the pods name them")
    return ok(f"{counted(len(names), 'secret')} that the pods name exist: {listed(names)}")


async def _exists(records: Records, namespace: str, name: str) -> bool | None:
    """Tell whether a secret exists; None if that may not be asked."""
    try:
        await records.api.get(SECRETS.path(namespace, name))
    except ApiError as error:
        if error.is_missing:
            return False
        if error.is_forbidden:
            return None
        raise
    return True


def _create(namespace: str, name: str) -> str:
    if any(word in name for word in ("hf", "hugging")):
        return f"kubectl create secret generic {name} -n {namespace} --from-literal=HF_TOKEN=…"
    if any(word in name for word in ("pull", "registry", "regcred", "nvcr", "ngc", "docker")):
        return f"kubectl create secret docker-registry {name} -n {namespace} --docker-server=… …"
    return f"kubectl create secret generic {name} -n {namespace} --from-literal=KEY=…"
