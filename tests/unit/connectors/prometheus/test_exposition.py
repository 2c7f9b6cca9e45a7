"""What is accepted as a metrics endpoint's text, and what is taken from it."""

import pytest

from config.errors import Malformed
from connectors.prometheus.dialects.dynamo import dynamo
from connectors.prometheus.exposition import Sample, parse_exposition

ALIVE = "dynamo_frontend_disconnected_clients 0\n"


def parsed(text: str) -> tuple[Sample, ...]:
    return parse_exposition(text.encode(), dynamo()).samples


def test_only_the_families_of_the_dialect_are_kept_under_their_names_on_the_wire() -> None:
    text = (
        "# HELP dynamo_frontend_requests_total all\n# TYPE dynamo_frontend_requests_total counter\n"
        'dynamo_frontend_requests_total{model="a\\"b",status="success"} 7\n'
        'python_gc{generation="0"} 5 1700000000000\n'
        'dynamo_frontend_output_sequence_tokens_bucket{le="+Inf"} 3\n# EOF\n'
    )

    assert parsed(text) == (
        Sample("dynamo_frontend_requests_total", {"model": 'a"b', "status": "success"}, 7.0),
        Sample("dynamo_frontend_output_sequence_tokens_bucket", {"le": "+Inf"}, 3.0),
    )


def test_a_fresh_frontend_has_nothing_of_interest() -> None:
    assert parsed(ALIVE) == ()


def test_models_are_named_by_requests_and_by_what_is_told_of_them() -> None:
    text = (
        'dynamo_frontend_requests_total{model="asked"} 7\n'
        'dynamo_frontend_model_context_length{model="served"} NaN\n'
        "dynamo_frontend_model_ready 1\n"
        'python_info{model="other"} 1\n'
    )

    page = parse_exposition(text.encode(), dynamo())

    assert page.models == {"asked", "served"}
    assert [sample.name for sample in page.samples] == ["dynamo_frontend_requests_total"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no metric begins with dynamo_frontend_"),
        ("node_load1 0.5\n", "no metric begins with dynamo_frontend_; is this the right address?"),
        ("<html><body>Sign in</body></html>", "expected the Prometheus text format, found '<html>"),
        ('{"status": "ok"}', "expected the Prometheus text format"),
        (
            ALIVE + "dynamo_frontend_requests_total seven\n",
            "cannot be read: expected a number, found 'seven'",
        ),
        (ALIVE + "dynamo_frontend_requests_total", "expected the Prometheus text format"),
        (ALIVE + "dynamo_frontend_requests_total 18", "breaks off after"),
        (ALIVE + 'dynamo_frontend_requests_total{model="a} 7\n', "cannot be read"),
        (ALIVE + "dynamo_frontend_requests_total{model=7} 7\n", "cannot be read"),
        (ALIVE + "dynamo_frontend_requests_total NaN\n", "found dynamo_frontend_requests_total nan"),
        (ALIVE + "dynamo_frontend_inflight_requests -1\n", "expected a number that is not negative"),
        (ALIVE + "dynamo_frontend_inflight_requests +Inf\n", "dynamo_frontend_inflight_requests inf"),
    ],
    ids=[
        *("empty", "other server", "login page", "JSON", "words", "cut off", "cut number", "cut label"),
        *("bare label", "NaN", "negative", "infinite"),
    ],
)
def test_anything_else_is_refused(text: str, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        parsed(text)

    assert words in str(caught.value)
