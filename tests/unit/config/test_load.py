"""Which source wins, where values are said to come from, and what a reload does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import Loaded, load, reload
from config.problems import Origin, OriginKind
from config.show import effective

Write = Callable[..., Path]
_FILE = "budget_gpus: 8\ntargets: {ttft: 300ms, itl: 25ms}\nprometheus: {url: http://file}\n"
_ENVIRONMENT = {"SETPOINT_PROMETHEUS__URL": "http://variable", "PROMETHEUS_ENDPOINT": "http://dynamo"}


def test_flags_win_over_everything(write: Write) -> None:
    loaded = load(flags={"prometheus.url": "http://flag"}, environment=_ENVIRONMENT, file=write(_FILE))

    assert loaded.settings.prometheus.url == "http://flag"
    assert loaded.origins["prometheus.url"].kind is OriginKind.FLAG


def test_variables_win_over_dynamos(write: Write) -> None:
    loaded = load(environment=_ENVIRONMENT, file=write(_FILE))

    assert loaded.settings.prometheus.url == "http://variable"
    assert loaded.origins["prometheus.url"] == Origin(kind=OriginKind.ENV, name="SETPOINT_PROMETHEUS__URL")


def test_dynamos_variables_win_over_the_file(write: Write) -> None:
    loaded = load(environment={"PROMETHEUS_ENDPOINT": "http://dynamo"}, file=write(_FILE))

    assert loaded.settings.prometheus.url == "http://dynamo"
    assert str(loaded.origins["prometheus.url"]) == "Dynamo's variable PROMETHEUS_ENDPOINT"


def test_the_file_wins_over_defaults_and_is_named_with_its_line(write: Write) -> None:
    path = write(_FILE)

    loaded = load(environment={}, file=path)

    assert loaded.settings.prometheus.url == "http://file"
    assert str(loaded.origins["prometheus.url"]) == f"{path}:3"
    assert str(loaded.origins["interval"]) == "default"
    assert loaded.file == path


def test_the_file_may_be_named_by_a_variable(write: Write) -> None:
    path = write(_FILE)

    loaded = load(environment={"SETPOINT_CONFIG": str(path)})

    assert loaded.file == path
    assert loaded.settings.budget_gpus == 8


def test_a_file_named_by_a_flag_wins_over_the_variable(write: Write) -> None:
    path = write(_FILE)

    loaded = load(environment={"SETPOINT_CONFIG": "/nonexistent.yaml"}, file=path)

    assert loaded.file == path


def test_a_flag_that_was_not_given_changes_nothing(least: dict[str, object]) -> None:
    loaded = load(flags={**least, "interval": None}, environment={})

    assert loaded.settings.interval == 30.0


def test_null_in_text_takes_back_a_limit(write: Write) -> None:
    path = write(_FILE + "sizing: {quantile: 0.9}\npools: {decode: {max_replicas: 4}}\n")

    loaded = load(
        flags={"pools.decode.max_replicas": "null"},
        environment={"SETPOINT_SIZING__QUANTILE": "null"},
        file=path,
    )

    assert loaded.settings.sizing.quantile is None
    assert loaded.settings.pools.decode.max_replicas is None


def test_a_stronger_source_replaces_a_mapping_whole(write: Write) -> None:
    path = write("budget_gpus: 8\ntargets: {ttft: 1s, itl: 1s}\nprometheus: {extra_selector: {a: x, b: y}}\n")

    loaded = load(environment={"SETPOINT_PROMETHEUS__EXTRA_SELECTOR": "c=z"}, file=path)

    assert loaded.settings.prometheus.extra_selector == {"c": "z"}


def test_the_environment_of_the_process_is_read_by_default(
    least: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SETPOINT_INTERVAL", "7s")

    assert load(flags=least).settings.interval == 7.0


def test_a_reload_reads_the_file_again_with_the_same_flags(write: Write) -> None:
    path = write(_FILE)
    before = load(flags={"interval": "10s"}, environment={}, file=path)
    write(_FILE.replace("8", "16"))

    after = reload(before)

    assert (before.settings.budget_gpus, after.settings.budget_gpus) == (8, 16)
    assert after.settings.interval == 10.0


def test_a_reload_of_a_broken_file_raises_and_leaves_the_settings(write: Write) -> None:
    before = load(environment={}, file=write(_FILE))
    write("budget_gpus: [")

    with pytest.raises(ConfigError, match="this is not YAML"):
        reload(before)
    assert before.settings.budget_gpus == 8


def test_examples_stand_in_where_nothing_is_required() -> None:
    loaded = load(environment={}, require=False)

    assert (loaded.settings.budget_gpus, loaded.settings.targets.ttft) == (8, 0.3)
    assert str(loaded.origins["targets.ttft"]) == "default, an example"
    assert loaded.warnings[:2] == (
        "budget_gpus is not set; the example 8 stands in",
        "targets.ttft is not set; the example 300ms stands in",
    )


def test_what_is_set_is_kept_where_nothing_is_required() -> None:
    loaded = load(flags={"budget_gpus": 3}, environment={}, require=False)

    assert loaded.settings.budget_gpus == 3
    assert not any(line.startswith("budget_gpus") for line in loaded.warnings)


def test_an_unknown_flag_is_refused(least: dict[str, object]) -> None:
    with pytest.raises(
        ConfigError, match=r"targets\.tfft: there is no such setting; did you mean targets\.ttft\?"
    ):
        load(flags={**least, "targets.tfft": "1s"}, environment={})


def test_a_section_may_come_as_a_mapping() -> None:
    loaded = load(flags={"budget_gpus": 8, "targets": {"ttft": "1s", "itl": "20ms"}}, environment={})

    assert (loaded.settings.targets.ttft, loaded.settings.targets.itl) == (1.0, 0.02)


def test_a_section_that_is_no_mapping_is_refused(least: dict[str, object]) -> None:
    with pytest.raises(
        ConfigError, match=r"log: 'debug' is not a section; log takes: format, level \(flag --log\)"
    ):
        load(flags={**least, "log": "debug"}, environment={})


def test_the_line_break_after_a_secret_is_dropped(least: dict[str, object]) -> None:
    token = load(flags=least, environment={"PROMETHEUS_TOKEN": "hunter2\n"}).settings.prometheus.token

    assert token is not None
    assert token.get_secret_value() == "hunter2"


def test_a_flag_with_a_bad_value_is_named(least: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"interval: 5 has no unit; write 5ms or 5s \(flag --interval\)"):
        load(flags={**least, "interval": "5"}, environment={})


def test_a_single_problem_is_taken_apart_for_programs(least: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags={**least, "interval": "5"}, environment={})

    assert caught.value.key == "interval"
    assert caught.value.problem == "5 has no unit"


def test_each_problem_has_its_line_and_all_sources_are_told(write: Write) -> None:
    path = write("budget_gpus: many\ntargets: {ttft: 300ms, itl: 25ms}\n")

    with pytest.raises(ConfigError) as caught:
        load(
            flags={"interval": "5"},
            environment={"SETPOINT_STARTUP": "1", "PROMETHEUS_ENDPOINT": "host"},
            file=path,
        )

    lines = sorted(str(caught.value).splitlines())
    assert [line.partition(":")[0] for line in lines] == [
        "budget_gpus",
        "interval",
        "prometheus.url",
        "startup",
    ]
    assert f"({path}:1)" in lines[0]
    assert "(Dynamo's variable PROMETHEUS_ENDPOINT)" in lines[2]
    assert "(variable SETPOINT_STARTUP)" in lines[3]


def test_the_deadline_is_a_share_of_the_interval_unless_set(least: dict[str, object]) -> None:
    assert load(flags=least, environment={}).settings.deadline_s == 24.0
    assert load(flags={**least, "deadline": "3s"}, environment={}).settings.deadline_s == 3.0


_SCRAPE = {"source": "scrape", "scrape.urls": "https://a.test/metrics"}
_WEBHOOK = {"actuator": "webhook"}
_SIGNED = {**_WEBHOOK, "webhook.url": "https://a.test", "webhook.secret": "key"}


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        ({"prometheus.verify_tls": "false"}, "ANYBODY ON THE NETWORK"),
        ({"prometheus.token": "t"}, "credentials travel unencrypted"),
        ({"interval": "10s"}, "shorter than four scrape intervals of 5s"),
        ({"look_interval": "30s"}, "there will be no looks"),
        ({"actuate": "true"}, "no real engine is scaled"),
        ({"targets.ttft": "10ms"}, "check that they are not swapped"),
        ({**_SCRAPE, "scrape.verify_tls": "false"}, "CAN POSE AS THE FRONTENDS"),
        ({**_SCRAPE, "scrape.headers": '{"X-Tenant": "a"}', "scrape.urls": "http://a.test"}, "unencrypted"),
        ({**_WEBHOOK, "webhook.url": "https://a.test"}, "requests are not signed"),
        ({**_SIGNED, "webhook.verify_tls": "false"}, "CAN POSE AS THE ORCHESTRATOR"),
        ({**_SIGNED, "webhook.url": "http://a.test"}, "webhook.url is http://"),
        ({**_SIGNED, "webhook.read_url": "http://10.0.0.1"}, "webhook.read_url is http://"),
    ],
)
def test_what_is_risky_is_told(least: dict[str, object], flags: dict[str, object], part: str) -> None:
    quiet = load(flags=least, environment={})
    risky = load(flags={**least, **flags}, environment={})

    assert quiet.warnings == ()
    assert len(risky.warnings) == 1
    assert part in risky.warnings[0]


@pytest.mark.parametrize("url", ["http://localhost:8080", "http://127.0.0.2/fleet", "http://[::1]:80"])
def test_a_webhook_on_this_machine_needs_no_encryption(least: dict[str, object], url: str) -> None:
    assert load(flags={**least, **_SIGNED, "webhook.url": url}, environment={}).warnings == ()


def _texts(loaded: Loaded) -> str:
    return f"{loaded!r} {loaded} {loaded.warnings} {effective(loaded)} {loaded.settings.model_dump_json()}"


def test_secrets_are_in_no_text(least: dict[str, object]) -> None:
    flags = {**least, "prometheus.token": "hunter2", "etcd.username": "me", "etcd.password": "hunter3"}

    loaded = load(flags=flags, environment={"SETPOINT_PROMETHEUS__HEADERS": "X-Key=hunter4"})

    assert loaded.settings.etcd.password is not None
    assert loaded.settings.etcd.password.get_secret_value() == "hunter3"
    assert "hunter" not in _texts(loaded)


def test_settings_cannot_be_changed(least: dict[str, object]) -> None:
    settings = load(flags=least, environment={}).settings

    with pytest.raises(ValueError, match="frozen"):
        settings.interval = 1.0  # type: ignore[misc]


def test_a_profile_may_name_a_row_of_its_folder(write: Write, tmp_path: Path) -> None:
    loaded = load(flags={"profile": f"{tmp_path}#tp=4"}, environment={}, file=write(_FILE))

    assert loaded.settings.profile == f"{tmp_path}#tp=4"
