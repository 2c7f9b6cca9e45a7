"""How PromQL is written: quoting, label matchers, and the few expression shapes that all dialects share.

Theory. A counter's growth over a window is `increase()`, per series, then summed. `increase()` does not see
what a series counted before its first sample, and stacks create labeled series with the first request, so a
burst after idleness would be lost. Here a series that did not exist at the start of the window, on a target
that was already scraped then (with the same labels), counts whole: it started from zero. A series on a target
that is new itself counts by `increase()` only, because a process that runs for long may be new to Prometheus.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from config.errors import ConfigError

_RE2_SPECIAL = frozenset("\\.+*?()|[]{}^$")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\\n]|\\.)*")\s*(?:,|$)')
_ESCAPED = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
NOW = "time()"
SUM_LE = "sum"
COUNT_LE = "count"


class Compare(StrEnum):
    """How a label is compared."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


_OPPOSITE = {
    Compare.EQUAL: Compare.NOT_EQUAL,
    Compare.NOT_EQUAL: Compare.EQUAL,
    Compare.REGEX: Compare.NOT_REGEX,
    Compare.NOT_REGEX: Compare.REGEX,
}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label.

    Example:
        >>> str(Matcher("endpoint", Compare.NOT_REGEX, "images|videos"))
        'endpoint!~"images|videos"'
    """

    label: str
    compare: Compare
    value: str

    def __str__(self) -> str:
        """Render the condition as PromQL."""
        return f"{self.label}{self.compare}{quote(self.value)}"

    def negated(self) -> "Matcher":
        """Return the opposite condition.

        Example:
            >>> str(Matcher("a", Compare.REGEX, "x|y").negated())
            'a!~"x|y"'
        """
        return Matcher(self.label, _OPPOSITE[self.compare], self.value)

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Return True if the labels fulfill the condition; an absent label is an empty one."""
        found = labels.get(self.label, "")
        if self.compare in {Compare.EQUAL, Compare.NOT_EQUAL}:
            return (found == self.value) is (self.compare is Compare.EQUAL)
        return bool(re.fullmatch(self.value, found)) is (self.compare is Compare.REGEX)


Matchers = tuple[Matcher, ...]


def quote(text: str) -> str:
    r"""Return the text as a PromQL string.

    Example:
        >>> quote('say "hi"')
        '"say \\"hi\\""'
    """
    return '"' + "".join(_quoted(char) for char in text) + '"'


def _quoted(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return f"\\U{ord(char):08x}"


def escape_regex(text: str) -> str:
    r"""Return an RE2 expression that matches just this text.

    Example:
        >>> escape_regex("org/model-1.5")
        'org/model-1\\.5'
    """
    return "".join("\\" + char if char in _RE2_SPECIAL else char for char in text)


def same_text_any_case(label: str, text: str) -> Matcher:
    """Return the condition that a label is this text, in whatever case.

    Example:
        >>> str(same_text_any_case("model", "Org/M"))
        'model=~"(?i)^(?:Org/M)$"'
    """
    return Matcher(label, Compare.REGEX, f"(?i)^(?:{escape_regex(text)})$")


def parse_matchers(text: str, *, key: str) -> Matchers:
    """Read conditions as a user writes them: `namespace="prod",job=~"front.*"`, with or without braces.

    Raises:
        ConfigError: If the text is not such a list, or a regular expression is not valid.

    Example:
        >>> [str(matcher) for matcher in parse_matchers('{namespace="prod", job=~"a|b"}', key="selectors")]
        ['namespace="prod"', 'job=~"a|b"']
    """
    rest = text.strip().removeprefix("{").removesuffix("}").strip()
    found: list[Matcher] = []
    while rest:
        match = _MATCHER.match(rest)
        if match is None:
            raise ConfigError(f"cannot read {rest!r}", key=key, hint='expected label="value",label=~"regex"')
        label, compare, quoted = match.groups()
        found.append(_checked(Matcher(label, Compare(compare), _unquoted(quoted)), key))
        rest = rest[match.end() :]
    return tuple(found)


def _unquoted(quoted: str) -> str:
    return _ESCAPED.sub(_character, quoted[1:-1])


def _character(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    return chr(int(code, 16)) if code else _ESCAPES.get(match[4], match[4])


def _checked(matcher: Matcher, key: str) -> Matcher:
    if matcher.compare in {Compare.REGEX, Compare.NOT_REGEX}:
        try:
            re.compile(matcher.value)
        except re.error as error:
            raise ConfigError(f"{matcher.value!r} is not a regular expression: {error}", key=key) from error
    return matcher


def duration(seconds: float) -> str:
    """Return a length of time as PromQL writes it.

    Example:
        >>> duration(60.0), duration(0.5)
        ('60s', '500ms')
    """
    return f"{seconds:.0f}s" if seconds == round(seconds) else f"{seconds * 1000.0:.0f}ms"


def select(name: str, matchers: Iterable[Matcher]) -> str:
    """Return the selector of one family.

    Example:
        >>> select("up", (Matcher("job", Compare.EQUAL, "frontend"),))
        'up{job="frontend"}'
    """
    return f"{name}{{{','.join(str(matcher) for matcher in matchers)}}}"


def select_any(names: Iterable[str], matchers: Matchers, *, prefix: str = "") -> str:
    """Return the selector of several families at once, and of those that begin with a prefix if there is one.

    Example:
        >>> select_any(("a", "b"), (), prefix="c_")
        '{__name__=~"a|b|c_.*"}'
    """
    parts = [escape_regex(name) for name in names]
    pattern = "|".join([*parts, f"{escape_regex(prefix)}.*"] if prefix else parts)
    return select("", (Matcher("__name__", Compare.REGEX, pattern), *matchers))


def growth(series: str, *, window_s: float, presence: str) -> str:
    """Return the growth of each series of a counter; see the theory above."""
    window = duration(window_s)
    known = f"({presence} and {presence} offset {window})"
    born = f"({series} unless {series} offset {window}) and on (job, instance) {known}"
    return f"({born} or increase({series}[{window}]))"


def by_target(expression: str) -> str:
    """Return the expression summed per scrape target."""
    return f"sum by (job, instance) ({expression})"


def counted_by(label: str, series: str) -> str:
    """Return how many series there are of each value of a label."""
    return f"count by ({label}) ({series})"


def either(expressions: Iterable[str]) -> str:
    """Return the first of the expressions that has an answer, per set of labels."""
    return " or ".join(expressions)


def added(expressions: Iterable[str]) -> str:
    """Return the sum of the expressions."""
    return "(" + " + ".join(expressions) + ")"


def histogram_growth(
    name: str, matchers: Matchers, *, window_s: float, presence: str, buckets: bool = True
) -> str:
    """Return a histogram's growth as one answer: buckets by their `le`, sum and count under `le` as well."""
    parts = [
        _named(growth(select(f"{name}_{part}", matchers), window_s=window_s, presence=presence), part)
        for part in (SUM_LE, COUNT_LE)
    ]
    if buckets:
        series = growth(select(f"{name}_bucket", matchers), window_s=window_s, presence=presence)
        parts.append(f"sum by (le) {series}")
    return either(parts)


def _named(expression: str, le: str) -> str:
    return f'label_replace(sum({expression}), "le", {quote(le)}, "", "")'


def targets_up(matchers: Matchers, *, presence: str, lookback_s: float) -> str:
    """Return whether each scrape target is up that exports a family, or did within the lookback."""
    return (
        f"{select('up', matchers)} and on (job, instance) last_over_time({presence}[{duration(lookback_s)}])"
    )


def targets_down(matchers: Matchers, *, presence: str, lookback_s: float) -> str:
    """Return how many such targets are down; nothing where none is."""
    return f"count(({targets_up(matchers, presence=presence, lookback_s=lookback_s)}) == 0)"


def scrapes(presence: str, *, lookback_s: float) -> str:
    """Return every scrape of the lookback that brought a family, with its own time."""
    return f"{presence}[{duration(lookback_s)}]"


def scrape_count(presence: str, *, window_s: float) -> str:
    """Return how often the best-scraped series of a family was scraped in the window."""
    return f"max(count_over_time({presence}[{duration(window_s)}]))"


def start_count(presence: str, *, window_s: float, head_s: float) -> str:
    """Return how often it was scraped in the first seconds of the window.

    Example:
        >>> start_count("up", window_s=60.0, head_s=10.0)
        'max(count_over_time(up[10s] offset 50s))'
    """
    return f"max(count_over_time({offset(f'{presence}[{duration(head_s)}]', window_s=window_s - head_s)}))"


def mean(series: str) -> str:
    """Return the mean over all series."""
    return f"avg({series})"


def offset(series: str, *, window_s: float) -> str:
    """Return what a series was so long ago."""
    return f"{series} offset {duration(window_s)}"
