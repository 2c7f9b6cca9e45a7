"""Can the engine's curves answer for the traffic that there is?

Outside the profiled lengths the edge of a curve is taken, which under-counts the engines for longer prompts.
"""

import math
from dataclasses import dataclass

from config.errors import ConfigError, ObservationError
from config.policy import DecodePoints, PrefillPoints
from connectors.prometheus.answers import by_bound, number_in
from connectors.prometheus.inquiries import Inquiries
from planner.doctor.findings import Sign, Verdict, fail, ok, skip, warn, worst
from planner.doctor.patient import Asked, Patient

_WINDOW_S = 3600.0
_OUTSIDE_RATIO = 0.05
_MS_PER_S = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """What prompts and outputs were like in the last hour.

    Attributes:
        isl_tokens: Mean prompt length.
        osl_tokens: Mean output length.
        isl_counts: Prompts up to each length, ascending.
    """

    isl_tokens: float
    osl_tokens: float
    isl_counts: tuple[tuple[float, float], ...] = ()

    def share_above(self, isl_tokens: float) -> float:
        """Return the share of prompts that are certainly longer."""
        total = max((count for _, count in self.isl_counts), default=0.0)
        within = [count for bound, count in self.isl_counts if bound >= isl_tokens]
        return (total - min(within)) / total if total > 0.0 and within else 0.0


async def lengths_of(patient: Patient, prometheus: Asked) -> Lengths | None:
    """Return the lengths that were observed; None if there were no requests.

    Raises:
        ObservationError: If Prometheus does not answer.
    """
    dialect, ask = patient.dialect, Inquiries(patient.dialect, patient.scope)
    isl, osl = [
        number_in(await prometheus.query(ask.mean(name, window_s=_WINDOW_S)))
        for name in (dialect.isl, dialect.osl)
    ]
    if not (math.isfinite(isl) and math.isfinite(osl)):
        return None
    counts = by_bound(await prometheus.query(ask.buckets(dialect.isl, window_s=_WINDOW_S)))
    return Lengths(isl_tokens=isl, osl_tokens=osl, isl_counts=counts)


async def check_profile(patient: Patient) -> tuple[Sign, ...] | Sign:
    """Load the profile, and compare it with the targets and the traffic."""
    profile = patient.profile
    if isinstance(profile, ConfigError):
        return fail(str(profile))
    sign = judge_targets_of(patient, profile.prefill, profile.decode)
    if profile.prefill is None or profile.decode is None or patient.prometheus is None:
        return sign
    try:
        lengths = await lengths_of(patient, patient.prometheus)
    except ObservationError as error:
        return sign, skip(f"the lengths of requests cannot be told: {error}", about="range")
    return sign, judge_range(lengths, profile.prefill, profile.decode)


def judge_targets_of(patient: Patient, prefill: PrefillPoints | None, decode: DecodePoints | None) -> Sign:
    """Say whether both halves are there, and whether any profiled point meets the targets."""
    targets = patient.settings.targets
    if prefill is None or decode is None:
        missing = "prefill" if prefill is None else "decode"
        return fail(
            f"the profile has no curve for {missing}", todo="profile both pools: docs of Dynamo's profiler"
        )
    fastest_s, least_s = min(prefill.ttft_s), min(decode.itl_s)
    if fastest_s > targets.ttft:
        return fail(
            f"no profiled prompt is as fast as wanted: TTFT {_ms(fastest_s)} at best, the target is"
            f" {_ms(targets.ttft)}",
            todo="raise --ttft, or use faster engines",
        )
    if least_s > targets.itl:
        return fail(
            f"no profiled point is as fast as wanted: ITL {_ms(least_s)} at best, the target is"
            f" {_ms(targets.itl)}",
            todo="raise --itl, or use faster engines",
        )
    shortest, longest = min(prefill.isl_tokens), max(prefill.isl_tokens)
    return ok(
        f"prompts of {shortest:g} to {longest:g} tokens, contexts up to {max(decode.context_tokens):g};"
        f" TTFT from {_ms(fastest_s)}, ITL from {_ms(least_s)}"
    )


def judge_range(lengths: Lengths | None, prefill: PrefillPoints, decode: DecodePoints) -> Sign:
    """Say whether the observed lengths lie within the profiled ones.

    Args:
        lengths: What was observed; None if nothing was.
        prefill: The profile of prompts.
        decode: The profile of outputs.
    """
    if lengths is None:
        return skip("no requests were observed whose lengths could be compared", about="range")
    found = (
        f"in the last hour prompts had {lengths.isl_tokens:.0f} and outputs {lengths.osl_tokens:.0f} tokens"
    )
    troubles = [*_prefill(lengths, prefill), *_decode(lengths, decode)]
    if not troubles:
        return ok(f"{found} on average, which the profile covers", about="range")
    say = fail if worst(verdict for verdict, _ in troubles) is Verdict.FAIL else warn
    return say(
        f"the profile does not cover the traffic: {found} on average",
        *(detail for _, detail in troubles),
        todo="profile the lengths that occur; beyond the edge too few engines are asked for",
        about="range",
    )


def _prefill(lengths: Lengths, prefill: PrefillPoints) -> list[tuple[Verdict, str]]:
    shortest, longest = min(prefill.isl_tokens), max(prefill.isl_tokens)
    if not shortest <= lengths.isl_tokens <= longest:
        return [(Verdict.FAIL, f"prompts are profiled from {shortest:g} to {longest:g} tokens")]
    beyond = lengths.share_above(longest)
    if beyond > _OUTSIDE_RATIO:
        return [
            (Verdict.WARN, f"{beyond:.0%} of the prompts are longer than the profiled {longest:g} tokens")
        ]
    return []


def _decode(lengths: Lengths, decode: DecodePoints) -> list[tuple[Verdict, str]]:
    context, most = lengths.isl_tokens + lengths.osl_tokens / 2.0, max(decode.context_tokens)
    if context <= most:
        return []
    return [(Verdict.FAIL, f"contexts are profiled up to {most:g} tokens, and are {context:.0f} on average")]


def _ms(seconds: float) -> str:
    return f"{seconds * _MS_PER_S:.3g} ms"
