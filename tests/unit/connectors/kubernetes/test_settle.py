"""What keeps a target from following is told once, and only if it stays so."""

from dataclasses import replace

from connectors.kubernetes.settle import Settling
from connectors.kubernetes.target import TargetView

_FINE = TargetView(desired=2, version="1")
_STALE = replace(_FINE, is_observed=False)


def said(*views: TargetView, each_s: float = 30.0) -> list[str]:
    words: list[str] = []
    settling = Settling("deployment/decode", say=words.append)
    for number, view in enumerate(views):
        settling.read(view, now_s=number * each_s)
    return words


def test_a_controller_that_takes_a_moment_is_no_news() -> None:
    assert said(_STALE, _FINE, _STALE, _FINE) == []


def test_a_controller_that_does_not_answer_is_told_once() -> None:
    (words,) = said(_STALE, _STALE, _STALE, _STALE, _STALE)

    assert "the controller of deployment/decode has not taken note" in words


def test_a_trouble_whose_numbers_move_is_the_same_trouble() -> None:
    views = [replace(_FINE, trouble=f"{left} of 5 replicas wait for room on a node") for left in (3, 2, 2, 1)]

    assert said(*views) == ["deployment/decode: 2 of 5 replicas wait for room on a node"]


def test_a_trouble_that_comes_back_is_told_again() -> None:
    bad = replace(_FINE, trouble="quota")

    assert len(said(bad, bad, bad, _FINE, bad, bad, bad)) == 2
