"""Can the files, folders and addresses that settings name be used here? Nothing is made to find out."""

import os
import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from config.catalog import value_of
from config.problems import Problem
from config.settings import Settings
from config.units import quoted

EMBEDDED_PROFILE = "embedded"
_FILES = (
    "prometheus.token_file",
    "prometheus.ca_file",
    "prometheus.client_cert_file",
    "prometheus.client_key_file",
    "scrape.token_file",
    "scrape.ca_file",
    "etcd.ca_file",
    "etcd.client_cert_file",
    "etcd.client_key_file",
    "kubernetes.kubeconfig",
    "kubernetes.ca_file",
    "webhook.secret_file",
    "webhook.ca_file",
)
_LABEL = "[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_MOST_HOST_CHARS = 253


def unusable(settings: Settings) -> Iterator[Problem]:
    """Yield what is not there, or not open to this user."""
    yield from _files(settings)
    yield from _profile(settings)
    yield from _journal(settings)
    yield from _bind(settings)


def _files(settings: Settings) -> Iterator[Problem]:
    for key in _FILES:
        path = value_of(settings, key)
        if isinstance(path, str) and (problem := _file_problem(path)):
            yield Problem(key=key, problem=problem, hint="name a file that this user can read")


def _journal(settings: Settings) -> Iterator[Problem]:
    journal = settings.journal.path
    if journal is not None and (problem := _journal_problem(journal)):
        yield Problem(key="journal.path", problem=problem, hint="make the folder, or name another file")


def _profile(settings: Settings) -> Iterator[Problem]:
    profile = settings.profile
    # What follows a # picks a row of the folder's files; whether it is there, their reader tells.
    if profile is not None and profile != EMBEDDED_PROFILE and not _exists(profile.partition("#")[0]):
        yield Problem(
            key="profile",
            problem=f"there is no folder '{quoted(profile)}'",
            hint=f"name a folder with measured curves, or write {EMBEDDED_PROFILE}",
        )


def _file_problem(path: str) -> str:
    try:
        with Path(path).open("rb"):
            return ""
    except FileNotFoundError:
        return f"there is no file '{quoted(path)}'"
    except IsADirectoryError:
        return f"'{quoted(path)}' is a directory"
    except (OSError, ValueError):
        return f"the file '{quoted(path)}' cannot be read"


def _journal_problem(path: str) -> str:
    """Say why lines could not be appended to a file; nothing is made to find out."""
    folder = str(Path(path).parent)
    if not _is_directory(folder, unknown=False) or _is_directory(path, unknown=True):
        return f"'{quoted(path)}' is not a file in a folder that exists"
    if _exists(path):
        return "" if os.access(path, os.W_OK) else f"this user may not write to '{quoted(path)}'"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"this user may not make files in '{quoted(folder)}'"
    return ""


def _bind(settings: Settings) -> Iterator[Problem]:
    bind = settings.http.bind
    if settings.http.enabled and not _is_host(bind):
        host, _, port = bind.rpartition(":")
        is_with_port = port.isascii() and port.isdecimal() and _is_host(host.strip("[]"))
        yield Problem(
            key="http.bind",
            problem=f"'{quoted(bind)}' is neither an IP address nor the name of a host",
            hint=f"write {host.strip('[]')}, and {port} as http.port"
            if is_with_port
            else "write for example 127.0.0.1, ::1 or 0.0.0.0",
        )


def _is_host(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        # A name whose last part is a number is an address with a mistake.
        *_, last = text.split(".")
        return len(text) <= _MOST_HOST_CHARS and not last.isdecimal() and _HOST.fullmatch(text) is not None
    return True


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def _is_directory(path: str, *, unknown: bool) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return unknown
