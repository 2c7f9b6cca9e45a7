"""History that promtool wrote, read back through a real Prometheus."""

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from connectors.base import Unknown, Value
from connectors.prometheus.client import PrometheusClient
from connectors.prometheus.dialect import Scope
from connectors.prometheus.dialects.dynamo import dynamo
from connectors.prometheus.options import HttpOptions
from connectors.prometheus.source import PrometheusSource, SourceOptions
from tests.integration.connectors.prometheus.rig import CLOCK, Prometheus

pytestmark = pytest.mark.slow
STEP_S = 60.0
EVERY_S = 15
HOURS = 3
GAP_S = (3600, 5400)


def series() -> Iterator[tuple[str, str, float]]:
    """Yield name, labels and growth per second: three requests of 400 tokens a second."""
    target = 'job="frontends",instance="a:8000"'
    yield "dynamo_frontend_disconnected_clients", target, 0.0
    yield "up", target, 0.0
    model = f'{target},model="m"'
    yield "dynamo_frontend_requests_started_total", f'{model},endpoint="completions"', 3.0
    yield "dynamo_frontend_input_sequence_tokens_sum", model, 1200.0
    yield "dynamo_frontend_input_sequence_tokens_count", model, 3.0


def openmetrics(end_wall_s: int) -> str:
    start_wall_s = end_wall_s - HOURS * 3600
    lines: list[str] = []
    for name, labels, growth in series():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines.append(f"# TYPE {name.removesuffix('_total')} {kind}")
        for at_wall_s in range(start_wall_s, end_wall_s + 1, EVERY_S):
            age_s = at_wall_s - start_wall_s
            if GAP_S[0] < age_s < GAP_S[1]:
                continue
            value = 1.0 if name == "up" else growth * age_s
            lines.append(f"{name}{{{labels}}} {value} {at_wall_s}")
    return "\n".join([*lines, "# EOF\n"])


async def test_hours_that_were_written_are_read_back(prometheus: Prometheus) -> None:
    # The last minutes are left out, since they belong to the server that scrapes.
    end_wall_s = int(CLOCK.wall_s()) - 600
    text = prometheus.folder / "history.om"
    text.write_text(openmetrics(end_wall_s), encoding="utf-8")
    promtool = await asyncio.create_subprocess_exec(
        *("promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=24h"),
        *(str(text), str(prometheus.folder / "data")),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await promtool.wait() == 0
    prometheus.scrape()
    await prometheus.start()
    source = PrometheusSource(
        PrometheusClient(prometheus.url, options=HttpOptions(), clock=CLOCK),
        dialect=dynamo(),
        scope=Scope(model="M"),
        clock=CLOCK,
        options=SourceOptions(),
    )

    found = await source.history(HOURS * 3600.0 + 600.0, STEP_S)
    await source.close()

    known = [one for one in found if isinstance(one.arrivals_rps, Value)]
    assert len(found) == (HOURS * 3600 + 600) / STEP_S
    assert len(known) == pytest.approx(len(found) - 10 - (GAP_S[1] - GAP_S[0]) / STEP_S, abs=4)
    for one in known:
        assert isinstance(one.arrivals_rps, Value)
        assert isinstance(one.isl_tokens, Value)
        assert one.arrivals_rps.value == pytest.approx(3.0, rel=0.35)
        assert one.isl_tokens.value == pytest.approx(400.0)
    typical = sorted(one.arrivals_rps.value for one in known if isinstance(one.arrivals_rps, Value))
    assert typical[len(typical) // 2] == pytest.approx(3.0, rel=0.01)
    assert isinstance(found[-1].arrivals_rps, Unknown)
    assert all(before.at_s < after.at_s for before, after in itertools.pairwise(found))
