"""The demo takes the user's own settings over its targets, budget, interval and predictor."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from planner.commands.demo import BUDGET_GPUS, demo_settings
from planner.commands.flags import Given
from planner.simulation.embedded import Scenario

URL = "http://127.0.0.1:1/metrics"
GUIDE = Path(__file__).parents[2] / "config" / "dynamo" / "cases" / "good" / "guide_arima.yaml"


def test_the_demo_has_settings_of_its_own() -> None:
    settings = demo_settings(URL, Scenario(), port=0).settings

    assert (settings.budget_gpus, settings.forecast.predictor) == (BUDGET_GPUS, "kalman")
    assert settings.actuate


def test_a_request_wins_over_them_but_not_over_the_wiring(tmp_path: Path) -> None:
    file = tmp_path / "setpoint.yaml"
    file.write_text("interval: 20s\nactuator: etcd\nhttp: {enabled: false}\n")
    given = Given(file=file, dgdr=GUIDE, values={}, pairs=("look.band=0.5",))

    loaded = demo_settings(URL, Scenario(), port=0, given=given)

    settings = loaded.settings
    assert (settings.budget_gpus, settings.targets.ttft, settings.interval) == (4, 0.3, 20.0)
    assert (settings.forecast.predictor, settings.forecast.log1p, settings.look.band) == ("arima", True, 0.5)
    assert (settings.actuator.value, settings.http.enabled, settings.actuate) == ("plugin", True, True)
    assert not any("plannerNoOperation" in note for note in loaded.notes)


@pytest.mark.parametrize("source", ["file", "dgdr"])
def test_what_the_users_file_leaves_out_is_as_the_daemon_would_have_it(tmp_path: Path, source: str) -> None:
    file = tmp_path / "setpoint.yaml"
    file.write_text("interval: 20s\n")
    given = Given(file=file, values={}) if source == "file" else Given(dgdr=GUIDE, values={})

    settings = demo_settings(URL, Scenario(startup_s=40.0), port=0, given=given).settings

    assert settings.sizing.quantile is None
    assert settings.pools.prefill.scale_down_window == settings.pools.decode.scale_down_window == 90.0
    assert settings.startup == 40.0


def test_what_joins_the_demo_together_cannot_be_set() -> None:
    with pytest.raises(ConfigError, match=r"--set: scrape\.urls is the demo's own; leave it out"):
        demo_settings(URL, Scenario(), port=0, given=Given(values={}, pairs=("scrape.urls=http://a",)))
