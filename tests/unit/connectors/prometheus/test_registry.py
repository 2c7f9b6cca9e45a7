"""How dialects are found by name."""

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
