"""How dialects are found by name."""

from collections.abc import Callable

import pytest

from config.errors import ConfigError
from connectors.prometheus.registry import dialect_names, load_dialect


def test_every_known_name_loads() -> None:
    assert "dynamo" in dialect_names()
    assert [load_dialect(name).name for name in dialect_names()] == list(dialect_names())


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown metric dialect 'dinamo'; did you mean 'dynamo'\?"):
        load_dialect("dinamo")


def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(ConfigError, match="there are: dynamo"):
        load_dialect("zzz")


CODE = """
import dataclasses
from connectors.prometheus.dialects.dynamo import dynamo

def build():
    return dataclasses.replace(dynamo("acme"), name="acme")

def wrong():
    return 7
"""


def entry_point(target: str) -> str:
    return f"[setpoint.dialects]\nacme = {target}\n"


def test_a_third_party_adds_a_dialect_of_its_own(install: Callable[..., None]) -> None:
    install(entry_point("acme_third_party:build"), {"acme_third_party.py": CODE}, name="acme-dialect")

    assert "acme" in dialect_names()
    assert load_dialect("acme").completed == "acme_requests_total"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("acme_third_party:wrong", "returned int, expected a Dialect"),
        ("acme_third_party:absent", "cannot load 'acme_third_party:absent', registered as 'acme'"),
        ("no_such_module:build", "reinstall the package that brings it"),
    ],
)
def test_a_third_party_dialect_that_does_not_work_is_named(
    install: Callable[..., None], target: str, words: str
) -> None:
    install(entry_point(target), {"acme_third_party.py": CODE}, name="acme-dialect")

    with pytest.raises(ConfigError) as caught:
        load_dialect("acme")

    assert words in str(caught.value)
