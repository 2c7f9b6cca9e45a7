"""docs/errors.md: every class of malformed input, and what Setpoint says and does, from real runs.

After a change of a message, write the page again:

    python -P -m tests.integration.errors.page
"""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.sources import process_environment
from tests.integration.errors import startup
from tests.integration.errors.answers import answers
from tests.integration.errors.cluster import cluster
from tests.integration.errors.deployments import deployments
from tests.integration.errors.gateway import etcd
from tests.integration.errors.hook import webhook
from tests.integration.errors.manifests import manifests
from tests.integration.errors.pages import pages
from tests.integration.errors.row import Row, table
from tests.integration.errors.running import running

PAGE = Path(__file__).parents[3] / "docs" / "errors.md"
UPDATE = "python -P -m tests.integration.errors.page"

_HEAD = f"""\
# What Setpoint says when something is wrong

Each row is one class of malformed input, what Setpoint says about it, verbatim, and what it does then.
A mistake at start-up ends the command before anything is done, one line for each problem; once the daemon
runs, nothing ends it, and where it cannot judge it holds the fleet and says why.
Nothing here is written by hand: `{UPDATE}` runs each case and writes this page, and a test compares.
"""
_START = "The command ends with exit code 2, and nothing was started."
_TICK = (
    "A fleet of 3 prefill and 2 decode engines serves 20 requests/s; then one interval sees what is said on "
    "the left. No stabilization window is set, so that only Setpoint's own judgment keeps the engines. "
    "The last column begins with what was made of the reading."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One area, with its rows."""

    title: str
    intro: str
    rows: list[Row]

    @property
    def is_start(self) -> bool:
        """Whether it is about commands that end."""
        return all(row.code is not None for row in self.rows)

    def lines(self) -> Iterator[str]:
        """Draw it."""
        yield from ("", f"## {self.title}", "", self.intro, "")
        yield from table(self.rows, last="exit code" if self.is_start else "effect on the fleet")


def sections() -> list[Section]:
    """Run every case."""
    with _clean() as (patch, folder):
        first = [
            Section(
                title="Settings files",
                intro=f"Each is a file of `tests/unit/config/cases/broken`, where all classes are. {_START}",
                rows=startup.settings_files(patch),
            ),
            Section(
                title="Dynamo's manifests and arguments",
                intro=(
                    "`setpoint config import`, on files of `tests/unit/config/dynamo/cases/broken` and on"
                    f" arguments; `--dgdr` says the same. {_START}"
                ),
                rows=manifests(patch),
            ),
            Section(
                title="Deployments of Dynamo and requests",
                intro=(
                    "`setpoint dgd prepare --image … --trust-remote-code`, on files of"
                    f" `tests/unit/planner/preparing/cases/broken`. {_START}"
                ),
                rows=deployments(patch),
            ),
            Section(title="Environment variables", intro=_START, rows=startup.variables(patch)),
            Section(title="Flags", intro=_START, rows=startup.flags(patch, folder)),
            Section(
                title="Profiles",
                intro=f"`setpoint plan --profile curves` with one defect each. {_START}",
                rows=startup.profiles(patch, folder / "profiles"),
            ),
            Section(
                title="Starting the daemon",
                intro=f"`setpoint run` where the machine does not give what it needs. {_START}",
                rows=startup.start(patch, folder),
            ),
        ]
        return [*first, *asyncio.run(_while_running(folder))]


async def _while_running(folder: Path) -> list[Section]:
    return [
        Section(
            title="Answers of Prometheus",
            intro=f"{_TICK} Only the last row, a true answer, is decided under the default windows.",
            rows=await answers(),
        ),
        Section(title="Scraped metrics pages", intro=_TICK, rows=await pages()),
        Section(title="Answers of etcd", intro=_TICK, rows=await etcd()),
        Section(title="Answers of a webhook", intro=_TICK, rows=await webhook()),
        Section(
            title="What a cluster says of a pool",
            intro=f"{_TICK} The load triples at the same time.",
            rows=cluster(),
        ),
        Section(title="The running daemon", intro=_TICK, rows=await running(folder / "daemons")),
    ]


@contextmanager
def _clean() -> Iterator[tuple[pytest.MonkeyPatch, Path]]:
    """Keep the machine's own variables and folder out of the page."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        for name in process_environment():
            patch.delenv(name)
        patch.setenv("COLUMNS", "100")
        yield patch, Path(folder)


def drawn(found: list[Section]) -> str:
    """Return the page."""
    return "\n".join([_HEAD.rstrip("\n"), *(line for section in found for line in section.lines()), ""])


def main() -> None:
    """Write the page."""
    PAGE.write_text(drawn(sections()), encoding="utf-8")


if __name__ == "__main__":
    main()
