"""The examples of the guide run as they stand there, and the dialect reads a gateway that settings name."""

import asyncio
import importlib
import re
import tomllib
from collections.abc import AsyncIterator, Callable
from dataclasses import fields, replace
from pathlib import Path

import httpx
import pytest

from config.clock import VirtualClock
from config.load import load
from connectors.base import Traffic, Unknown, Value
from connectors.prometheus.dialect import Dialect, Scope
from connectors.prometheus.queries import Queries
from connectors.prometheus.scrape import ScrapeOptions, ScrapeSource
from planner.commands.connect import source_of

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "writing-a-dialect.md").read_text(encoding="utf-8")
MODULE = re.compile(r"^```python\n# (\w+)\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LEAST = "budget_gpus: 8\ntargets: {ttft: 300ms, itl: 25ms}\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def _guide(install: Callable[..., None]) -> None:
    """Install the guide's modules with the entry point that it tells."""
    (text,) = blocks("toml")
    package = tomllib.loads(text)
    modules = {f"{name}.py": code for name, code in MODULE.findall(GUIDE)}
    assert {f"{name}.py" for name in package["tool"]["setuptools"]["py-modules"]} <= modules.keys()
    groups = package["project"]["entry-points"].items()
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in named.items())
        for group, named in groups
    )
    install(points, modules, name="acme")


class Gateway:
    """A metrics page over HTTP on loopback."""

    def __init__(self) -> None:
        self.text = ""
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = self.text.encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    found = Gateway()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()
    await server.wait_closed()


def pages() -> tuple[str, str]:
    tests = importlib.import_module("test_acme_dialect")
    return str(tests.FRESH), str(tests.LOADED)


def dialect() -> Dialect:
    built = importlib.import_module("acme_dialect").build()
    assert isinstance(built, Dialect)
    return built


@pytest.mark.usefixtures("_guide")
@pytest.mark.parametrize(
    "name",
    [
        "test_a_busy_minute_is_read",
        "test_a_fresh_gateway_is_idle_and_not_unknown",
        "test_another_program_is_not_taken_for_an_idle_gateway",
    ],
)
def test_the_tests_of_the_guide_pass(name: str) -> None:
    getattr(importlib.import_module("test_acme_dialect"), name)()


def test_the_guide_has_no_other_example_and_no_other_test() -> None:
    names = [name for name, _ in MODULE.findall(GUIDE)]

    assert names == ["acme_dialect", "test_acme_dialect"]
    assert GUIDE.count("```python") == len(names)
    assert GUIDE.count("\ndef test_") == 3


def test_the_guide_explains_every_field() -> None:
    told = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", GUIDE, re.MULTILINE))))

    assert told == {field.name for field in fields(Dialect)} - {"name"}


@pytest.mark.usefixtures("_guide")
async def test_the_dialect_is_chosen_as_the_guide_says_and_reads_a_gateway(
    tmp_path: Path, gateway: Gateway
) -> None:
    file = tmp_path / "setpoint.yaml"
    chosen = blocks("yaml")[0].replace("http://gateway:8000", f"http://127.0.0.1:{gateway.port}")
    file.write_text(LEAST + chosen)
    clock = VirtualClock()
    source = source_of(load(file=file, environment={}), clock=clock)

    gateway.text, later = pages()
    await source.observe(60.0)
    await clock.advance(60.0)
    gateway.text = later
    traffic = await source.observe(60.0)
    await source.close()

    assert isinstance(traffic.arrivals_rps, Value)
    assert traffic.arrivals_rps.value == pytest.approx(1.9)


@pytest.mark.usefixtures("_guide")
async def test_a_latency_that_the_stack_lacks_costs_only_that_latency() -> None:
    traffic = await seen(replace(dialect(), itl=""))

    assert isinstance(traffic.itl_s, Unknown)
    assert isinstance(traffic.ttft_s, Value)
    assert isinstance(traffic.arrivals_rps, Value)


@pytest.mark.usefixtures("_guide")
async def test_without_a_counter_of_arrivals_they_are_completions_and_the_change_in_flight() -> None:
    traffic = await seen(replace(dialect(), started=""))

    assert isinstance(traffic.arrivals_rps, Value)
    assert traffic.arrivals_rps.value == pytest.approx((100 + 14) / 60.0)
    assert traffic.arrivals_rps.estimator == "completed+inflight"


@pytest.mark.usefixtures("_guide")
def test_prometheus_is_asked_for_the_names_of_the_dialect() -> None:
    asked = " ".join(Queries(dialect(), Scope()).of_window(60.0).values())

    assert "acme_requests_received_total" in asked
    assert 'kind="generate"' in asked
    assert "dynamo" not in asked


async def seen(spoken: Dialect) -> Traffic:
    rest, clock = iter(pages()), VirtualClock()
    source = ScrapeSource(
        ["http://gateway/metrics"],
        dialect=spoken,
        scope=Scope(),
        clock=clock,
        options=ScrapeOptions(),
        transport=httpx.MockTransport(lambda _request: httpx.Response(200, text=next(rest))),
    )
    await source.observe(60.0)
    await clock.advance(60.0)
    return await source.observe(60.0)


def test_the_settings_for_prometheus_load(tmp_path: Path) -> None:
    file = tmp_path / "setpoint.yaml"
    file.write_text(LEAST + blocks("yaml")[1])

    found = load(file=file, environment={}).settings.prometheus

    assert (found.dialect, found.extra_selector) == ("acme", {"cluster": "eu-1", "job": "acme-gateway"})
