"""Reading what a server sends, up to a limit."""

import httpx

from config.errors import Malformed


async def content_of(response: httpx.Response, *, where: str, most_bytes: int, expected: str) -> bytes:
    """Return the body of a response that is streamed, as it came over the wire.

    Args:
        response: Its request asked for no compression, so that few bytes cannot become many.
        where: The address, for the words of an error.
        most_bytes: More is not what was asked for.
        expected: What was, in words.

    Raises:
        Malformed: If it is longer.
    """
    content = bytearray()
    async for part in response.aiter_raw():
        content += part
        if len(content) > most_bytes:
            raise Malformed(f"{where} sent more than {most_bytes} bytes; expected {expected}")
    return bytes(content)
