"""How dialects are found by name."""

from pathlib import Path

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


def install(folder: Path, *, target: str) -> None:
    """Put a package of a third party on the path, as an installer would."""
    info = folder / "acme_dialect-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-dialect\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(f"[setpoint.dialects]\nacme = {target}\n", encoding="utf-8")
    (folder / "acme_dialect.py").write_text(
        "import dataclasses\n"
        "from connectors.prometheus.dialects.dynamo import dynamo\n"
        "def build():\n    return dataclasses.replace(dynamo('acme'), name='acme')\n"
        "def wrong():\n    return 7\n",
        encoding="utf-8",
    )


def test_a_third_party_adds_a_dialect_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, target="acme_dialect:build")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert "acme" in dialect_names()
    assert load_dialect("acme").completed == "acme_requests_total"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("acme_dialect:wrong", "returned int, expected a Dialect"),
        ("acme_dialect:absent", "cannot load 'acme_dialect:absent', registered as 'acme'"),
        ("no_such_module:build", "reinstall the package that brings it"),
    ],
)
def test_a_third_party_dialect_that_does_not_work_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, words: str
) -> None:
    install(tmp_path, target=target)
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ConfigError) as caught:
        load_dialect("acme")

    assert words in str(caught.value)
