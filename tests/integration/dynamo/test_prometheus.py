"""A real Prometheus scrapes the daemon's page and answers the queries of Dynamo's dashboard."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from planner.serving.dynamo_series import DYNAMO_NAMES
from tests.integration.connectors.prometheus.rig import Prometheus, until
from tests.integration.dynamo.scenario import on_stage, samples, serving

pytestmark = pytest.mark.slow
NAMESPACE = "llm-serving"


@pytest.fixture
async def prometheus(tmp_path: Path, program: Callable[[str, str], str]) -> AsyncIterator[Prometheus]:
    program("prometheus", "prometheus")
    server = Prometheus(folder=tmp_path)
    yield server
    await server.kill()


async def asked(http: httpx.AsyncClient, query: str) -> list[float]:
    """Return the values that an instant query finds."""
    answer = (await http.get("/api/v1/query", params={"query": query})).raise_for_status().json()
    return [float(result["value"][1]) for result in answer["data"]["result"]]


async def test_each_name_is_found_by_the_namespace_that_scraping_adds(prometheus: Prometheus) -> None:
    async with on_stage() as (stage, url):
        await stage.ticks()
        await stage.sees(serving(30.0))
        prometheus.scrape(url.removeprefix("http://"), namespace=NAMESPACE)
        await prometheus.start()
        async with httpx.AsyncClient(base_url=prometheus.url, trust_env=False) as http:

            async def is_scraped() -> bool:
                return bool(await asked(http, DYNAMO_NAMES[-1]))

            await until(is_scraped)
            found = {
                name: await asked(http, f'{name}{{namespace=~"{NAMESPACE}|another"}}')
                for name in DYNAMO_NAMES
            }
            namespaces = await http.get("/api/v1/label/namespace/values", params={"match[]": DYNAMO_NAMES[0]})
            shown = samples((await http.get(f"{url}/metrics")).text)

    states = {name for name in found if name.endswith("_scaling_decision")}
    assert namespaces.json()["data"] == [NAMESPACE]
    assert {name: values for name, values in found.items() if name not in states} == {
        name: [value] for name, value in shown.items() if "=" not in name
    }
    assert [(len(found[name]), sum(found[name])) for name in sorted(states)] == [(18, 1.0), (14, 1.0)]
