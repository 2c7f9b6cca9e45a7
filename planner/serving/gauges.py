"""Which gauges does Setpoint show?"""

from planner.serving.series import (
    Gauge,
    leads,
    of_board,
    of_engines,
    of_forecast,
    of_holds,
    of_latency,
    of_parts,
    of_pool,
    of_traffic,
)

GAUGES: tuple[Gauge, ...] = (
    # What was decided, and what there is.
    of_pool("setpoint_replicas_desired", "Replicas that Setpoint decided on.", lambda pool: pool.replicas),
    of_pool(
        "setpoint_replicas_needed",
        "Replicas that the solver asked for, before any limit.",
        lambda pool: pool.needed,
        tick=True,
    ),
    of_engines(
        "setpoint_replicas_requested",
        "Replicas that the orchestrator was last asked for.",
        lambda pool: pool.desired,
    ),
    of_engines("setpoint_replicas_ready", "Engines that serve.", lambda pool: pool.ready),
    of_engines(
        "setpoint_replicas_starting", "Engines that exist and do not serve yet.", lambda pool: pool.starting
    ),
    of_engines(
        "setpoint_replicas_terminating",
        "Engines that were given up and still hold their GPUs.",
        lambda pool: pool.terminating,
    ),
    of_engines(
        "setpoint_replicas_failing",
        "Engines that exist and will not serve without help.",
        lambda pool: pool.failing,
    ),
    of_engines(
        "setpoint_replicas_unschedulable",
        "Those of the failing engines that wait for GPUs that nobody has.",
        lambda pool: pool.unschedulable,
    ),
    Gauge(
        name="setpoint_pool_hold",
        meaning="1 while the orchestrator's side wants the pool left alone, by kind of hold.",
        labels=("pool", "kind"),
        read=of_holds,
    ),
    of_pool("setpoint_pool_gpus", "GPUs of the decided replicas.", lambda pool: pool.gpus),
    of_board(
        "setpoint_gpus_committed",
        "GPUs that are held or asked for once the last decision is written.",
        lambda board: board.last_step.decision.committed_gpus if board.last_step else None,
    ),
    of_board(
        "setpoint_gpu_budget",
        "Hard limit of committed GPUs.",
        lambda board: board.policy.budget_gpus if board.policy else None,
    ),
    # Why: the numbers behind each pool's count.
    of_pool(
        "setpoint_pool_demand_tokens_per_second",
        "Work that was sized for: prompt tokens for prefill, output tokens for decode.",
        lambda pool: pool.demand_tokens_per_s,
        tick=True,
    ),
    of_pool(
        "setpoint_engine_capacity_tokens_per_second",
        "What one engine carries within the target.",
        lambda pool: pool.capacity_tokens_per_s,
        tick=True,
    ),
    of_pool(
        "setpoint_pool_utilization_ratio",
        "Demand over the capacity of the decided replicas.",
        lambda pool: pool.utilization_ratio,
        tick=True,
    ),
    of_pool(
        "setpoint_pool_expected_latency_seconds",
        "TTFT (prefill) or ITL (decode) that the solver expects at the decided size.",
        lambda pool: pool.expected_latency_s,
        tick=True,
    ),
    of_pool(
        "setpoint_correction_ratio",
        "Observed over expected latency: the correction factor in force.",
        lambda pool: pool.correction_ratio,
        tick=True,
    ),
    # What was observed.
    of_traffic(
        "setpoint_arrivals_rps", "Offered load, in requests per second.", lambda traffic: traffic.arrivals_rps
    ),
    of_traffic(
        "setpoint_completions_rps",
        "Requests that ended, per second.",
        lambda traffic: traffic.completions_rps,
    ),
    of_traffic("setpoint_isl_tokens", "Mean prompt length.", lambda traffic: traffic.isl_tokens),
    of_traffic("setpoint_osl_tokens", "Mean output length.", lambda traffic: traffic.osl_tokens),
    of_latency(
        "setpoint_ttft_seconds",
        "Time to first token: its mean, and the percentile of the target.",
        mean=lambda traffic: traffic.ttft_s,
        quantile=lambda traffic: traffic.ttft_quantile_s,
    ),
    of_latency(
        "setpoint_itl_seconds",
        "Time between tokens: its mean, and the percentile of the target.",
        mean=lambda traffic: traffic.itl_s,
        quantile=lambda traffic: traffic.itl_quantile_s,
    ),
    of_traffic(
        "setpoint_request_duration_seconds",
        "Mean time from arrival to last token.",
        lambda traffic: traffic.request_duration_s,
    ),
    of_traffic("setpoint_in_flight_requests", "Requests in the system.", lambda traffic: traffic.in_flight),
    of_traffic(
        "setpoint_queued_requests",
        "Requests that wait for their first token.",
        lambda traffic: traffic.queued,
    ),
    of_traffic(
        "setpoint_kv_usage_ratio",
        "Share of the decode engines' KV cache in use.",
        lambda traffic: traffic.kv_usage_ratio,
    ),
    of_board(
        "setpoint_observation_age_seconds",
        "Age of the traffic that the last tick decided on.",
        lambda board: (
            board.last_tick.now_s - board.last_tick.observation.traffic.at_s if board.last_tick else None
        ),
    ),
    # What is expected.
    of_forecast(
        "setpoint_forecast_arrivals_rps",
        "Forecast of the offered load: its mean and quantiles.",
        lambda forecast: forecast.arrivals_rps,
    ),
    of_forecast(
        "setpoint_forecast_isl_tokens",
        "Forecast of the prompt length: its mean and quantiles.",
        lambda forecast: forecast.isl_tokens,
    ),
    of_forecast(
        "setpoint_forecast_osl_tokens",
        "Forecast of the output length: its mean and quantiles.",
        lambda forecast: forecast.osl_tokens,
    ),
    of_board(
        "setpoint_forecast_points",
        "Intervals of load that the predictor has learned from.",
        lambda board: (
            board.last_tick.forecast.points if board.last_tick and board.last_tick.forecast else None
        ),
    ),
    of_board(
        "setpoint_forecast_late_intervals",
        "Intervals that passed since the model of the forecast last learned; not 0 where a fit is late.",
        lambda board: (
            board.last_tick.forecast.late_intervals if board.last_tick and board.last_tick.forecast else None
        ),
    ),
    of_board(
        "setpoint_expected_ttft_seconds",
        "TTFT that the solver expects at the decided size.",
        lambda board: board.last_tick.decision.expected_ttft_s if board.last_tick else None,
    ),
    of_board(
        "setpoint_expected_itl_seconds",
        "ITL that the solver expects at the decided size.",
        lambda board: board.last_tick.decision.expected_itl_s if board.last_tick else None,
    ),
    of_board(
        "setpoint_expected_attainment_ratio",
        "Share of requests that the solver expects within target, where it knows.",
        lambda board: board.last_tick.decision.expected_attainment_ratio if board.last_tick else None,
    ),
    of_board(
        "setpoint_target_ttft_seconds",
        "Target of the time to first token.",
        lambda board: board.policy.targets.ttft_s if board.policy else None,
    ),
    of_board(
        "setpoint_target_itl_seconds",
        "Target of the time between tokens.",
        lambda board: board.policy.targets.itl_s if board.policy else None,
    ),
    of_board(
        "setpoint_target_percentile_ratio",
        "Share of requests that must meet both targets; absent where the targets are means.",
        lambda board: board.policy.targets.percentile_ratio if board.policy else None,
    ),
    # How the daemon fares.
    of_board(
        "setpoint_advisory",
        "1 while decisions are only shown, 0 while they are carried out.",
        lambda board: float(board.advisory),
    ),
    of_board(
        "setpoint_ready", "1 once a decision was made on good data.", lambda board: float(board.is_ready)
    ),
    of_board(
        "setpoint_leader",
        "1 while this process leads and may write, 0 while it is a standby or only advises.",
        leads,
    ),
    of_board(
        "setpoint_hold",
        "1 if the last tick kept the fleet because it could not judge it.",
        lambda board: float(board.last_tick.decision.is_hold) if board.last_tick else None,
    ),
    Gauge(
        name="setpoint_part_healthy",
        meaning="1 if a part of the daemon fared well when it was last used.",
        labels=("part",),
        read=of_parts,
    ),
    of_board(
        "setpoint_last_tick_timestamp_seconds",
        "Unix time of the last tick.",
        lambda board: board.last_tick.at_wall_s if board.last_tick else None,
    ),
    of_board(
        "setpoint_interval_seconds",
        "The adjustment interval.",
        lambda board: board.policy.interval_s if board.policy else None,
    ),
    Gauge(
        name="setpoint_info",
        meaning="Always 1; its label is the version of Setpoint.",
        labels=("version",),
        read=lambda board: (((board.version,), 1.0),),
    ),
)
