"""What a kubeconfig must say about a context; faults are told in words that name no credential."""

from collections.abc import Mapping
from typing import Any

from config.errors import ConfigError
from connectors.kubernetes.answers import safe

# How texts of the library begin that quote nothing of a user's.
_HARMLESS = ("exec:", "oidc:", "File does not exist", "Service ", "Token file", "Cert file")


def check_contexts(merged: Mapping[str, Any], context: str, *, where: str) -> None:
    """Check that a context is there and leads to a server.

    Args:
        merged: The kubeconfig, its entries in kubernetes_asyncio's wrapping.
        context: The context that is meant.
        where: The files, for words.

    Raises:
        ConfigError: If it does not.
    """
    contexts, clusters = _by_name(merged, "contexts"), _by_name(merged, "clusters")
    if context not in contexts:
        raise ConfigError(
            f"{where} has no context {context!r}" if context else f"{where} has no current one",
            key="kubernetes.context",
            hint=f"it has {', '.join(sorted(contexts)) or 'none'}",
        )
    cluster = str(part(contexts[context], "context").get("cluster") or "")
    server = part(clusters.get(cluster), "cluster").get("server")
    if not isinstance(server, str) or not server.startswith(("http://", "https://")):
        raise ConfigError(
            f"context {context} of {where} names cluster {cluster!r}, which has no server address",
            key="kubernetes.kubeconfig",
            hint="give its entry a server that begins with https://",
        )


def impersonation(merged: Mapping[str, Any], context: str) -> tuple[tuple[str, str], ...]:
    """Return the headers that say whom the context's user acts for; empty if for nobody.

    The library does not know them: without them we would act with more rights than the user meant.
    """
    name = str(part(_by_name(merged, "contexts").get(context), "context").get("user") or "")
    user = part(_by_name(merged, "users").get(name), "user")
    single = (("Impersonate-User", user.get("as")), ("Impersonate-Uid", user.get("as-uid")))
    groups = [("Impersonate-Group", str(group)) for group in user.get("as-groups") or ()]
    extras = [
        (f"Impersonate-Extra-{key}", str(value))
        for key, values in (user.get("as-user-extra") or {}).items()
        for value in values
    ]
    return (*((header, str(value)) for header, value in single if value), *groups, *extras)


def problem_of(error: Exception) -> str:
    """Return what may be said of an error of the library: its texts can quote a user's whole entry."""
    import yaml

    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1} is not YAML: {safe(error.problem or '')}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    text = str(error)
    if text.startswith(_HARMLESS):
        return safe(text)
    return f"it does not have the shape of one ({type(error).__name__})"


def part(entry: object, name: str) -> Mapping[str, Any]:
    """Return an object inside an entry; empty if it is not one."""
    found = entry.get(name) if isinstance(entry, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _by_name(merged: Mapping[str, Any], section: str) -> dict[str, Any]:
    return {str(entry["name"]): entry.value for entry in merged.get(section) or () if "name" in entry}
