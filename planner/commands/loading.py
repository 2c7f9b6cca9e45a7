"""How do the flags of a command line become settings, and errors that name these flags?"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from config.errors import ConfigError
from config.load import Loaded, load, named_manifest
from config.units import quoted
from planner.commands.flags import ALL_FLAGS, Given


def load_given(given: Given, *, require: bool = True, base: Mapping[str, object] | None = None) -> Loaded:
    """Load the settings of a command line.

    Args:
        given: What the command line says.
        require: As in `config.load.load`.
        base: As in `config.load.load`.

    Raises:
        ConfigError: If anything is wrong; it names flags as the user wrote them.
        ApiError: If a request of the cluster is named, and its API server does not answer.
    """
    given = resolved(given)
    flags, names = settings_of(given)
    try:
        return load(flags=flags, file=given.file, dgdr=given.dgdr, base=base, require=require)
    except ConfigError as error:
        raise _in_flags(error, names) from None


def load_to_run(given: Given, words: Sequence[str]) -> Loaded | None:
    """Load the settings of a daemon; a request of the cluster is waited for.

    Args:
        given: What the command line says.
        words: The arguments of Dynamo's planner that follow after `--`.

    Returns:
        The settings; None if it was told to stop while it waited.

    Raises:
        ConfigError: If anything is wrong, or the request failed.
        ApiError: If the API server refuses.
    """
    asked = _with_arguments(given, tuple(words))
    if _is_request(asked):
        from planner.commands.dgdr import waited_for

        awaited = waited_for(asked)
        return None if awaited is None else load_given(awaited)
    return load_given(asked)


def resolved(given: Given) -> Given:
    """Return what was given, with what the cluster has where `--dgdr` names a request and no file.

    Raises:
        ConfigError: If there is no such request.
        ApiError: If the API server does not answer.
    """
    if not _is_request(given):
        return given
    from planner.commands.dgdr import with_request

    return with_request(given)


def _is_request(given: Given) -> bool:
    """Whether a manifest is named that is no file; it may be a request in the cluster."""
    named = given.dgdr if given.dgdr is not None else named_manifest()
    return isinstance(named, Path) and not named.exists()


def _with_arguments(given: Given, words: tuple[str, ...]) -> Given:
    if not words:
        return given
    if not words[0].startswith("--"):
        hint = "arguments of Dynamo's planner follow after --"
        raise ConfigError(f"'{quoted(words[0])}' is not expected here", key="run", hint=hint)
    if given.dgdr is not None:
        raise ConfigError("--dgdr is given too", key="--", hint="the planner's keys are read from one place")
    return replace(given, dgdr=words)


def settings_of(given: Given) -> tuple[dict[str, object], dict[str, str]]:
    """Return the values by dotted key, and the flag that gave each.

    Raises:
        ConfigError: If a pair cannot be read, a setting is given twice, or two flags contradict each other.

    Example:
        >>> settings_of(Given(values={"--ttft": "300ms"}, pairs=("pools.decode.min_replicas=2",)))[0]
        {'targets.ttft': '300ms', 'pools.decode.min_replicas': '2'}
    """
    if {"--prometheus", "--scrape"} <= given.values.keys():
        raise ConfigError(
            "--prometheus is given too", key="--scrape", hint="metrics are read from one place; keep one"
        )
    keys = {flag.name: flag.key for flag in ALL_FLAGS}
    flags = {keys[name]: value for name, value in given.values.items()}
    names = {keys[name]: name for name in given.values}
    if "--scrape" in given.values:
        flags["source"], names["source"] = "scrape", "--scrape"
    for pair in given.pairs:
        key, value = _split(pair)
        if key in flags:
            raise ConfigError(
                f"{key} is given twice", key="--set", hint=f"{names[key]} gives it too; keep one"
            )
        flags[key], names[key] = value, f"--set {key}"
    return flags, names


def origins_in_words(loaded: Loaded, given: Given) -> dict[str, str]:
    """Return where each setting is from, in words that name flags as the user wrote them."""
    _, names = settings_of(given)
    return {
        key: f"flag {_written(names[key], loaded.request.flags[key])}" if key in names else str(origin)
        for key, origin in loaded.origins.items()
    }


def _split(pair: str) -> tuple[str, str]:
    key, separator, value = pair.partition("=")
    if not separator or not key.strip():
        raise ConfigError(
            "there is no key=value" if not pair.strip() else f"'{quoted(pair)}' is not key=value",
            key="--set",
            hint="write for example --set pools.decode.min_replicas=2",
        )
    return key.strip(), value.strip()


def _in_flags(error: ConfigError, names: Mapping[str, str]) -> ConfigError:
    """Name flags as they were written, and say which flag would set what is missing."""
    return ConfigError(_reworded(error.problem, names), key=error.key, hint=_reworded(error.hint, names))


def _reworded(text: str, names: Mapping[str, str]) -> str:
    for key in sorted(names, key=len, reverse=True):
        text = text.replace(f"(flag --{key})", f"(flag {names[key]})")
    return _VARIABLE_HINT.sub(_with_flag, text)


_VARIABLE_HINT = re.compile(r", or set (SETPOINT_([A-Z_]+)=(\S+))")


def _with_flag(match: re.Match[str]) -> str:
    key = match[2].lower().replace("__", ".")
    name = next((flag.name for flag in ALL_FLAGS if flag.key == key), None)
    return f", set {match[1]}, or give {name} {match[3]}" if name else match[0]


def _written(name: str, value: object) -> str:
    on, _, off = name.partition("/")
    return off if off and value is False else on
