"""A real request to a frontend, as a client of its OpenAI API sends it."""

import asyncio
import json

import httpx

from config.errors import Unreachable
from connectors.kubernetes.api import Json
from connectors.prometheus.options import checked_url

_LIMIT_S = 60.0
_MOST_BYTES = 2**20


class HttpFrontend:
    """The frontend at an address.

    Args:
        url: The address, without `/v1`.

    Raises:
        ConfigError: If it is none.
    """

    def __init__(self, url: str) -> None:
        self._url = checked_url(url, key="--frontend").removesuffix("/v1")

    @property
    def url(self) -> str:
        """Where it is."""
        return self._url

    async def ask(self, path: str, body: Json | None = None) -> tuple[int, str]:
        """Post JSON, or get without it; return the HTTP status and the text of the answer.

        Raises:
            Unreachable: If no answer came, or a very long one.
        """
        try:
            async with asyncio.timeout(_LIMIT_S):
                return await self._exchange(path, body)
        except TimeoutError as error:
            raise Unreachable(f"{self._url}{path} did not answer within {_LIMIT_S:g} s") from error
        except (httpx.HTTPError, OSError) as error:
            why = str(error) or type(error).__name__
            raise Unreachable(f"cannot reach {self._url}{path}: {why}") from error

    async def _exchange(self, path: str, body: Json | None) -> tuple[int, str]:
        content = None if body is None else json.dumps(body)
        method = "GET" if body is None else "POST"
        headers = {"Content-Type": "application/json"} if content else {}
        found = bytearray()
        async with (
            httpx.AsyncClient(timeout=_LIMIT_S) as http,
            http.stream(method, f"{self._url}{path}", content=content, headers=headers) as answer,
        ):
            async for part in answer.aiter_bytes():
                found += part
                if len(found) > _MOST_BYTES:
                    raise Unreachable(f"{self._url}{path} sent more than {_MOST_BYTES} bytes")
        return answer.status_code, found.decode("utf-8", errors="replace")
