"""Which command lines are worth copying? Shown at the end of each command's help."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": (
        "setpoint demo",
        "setpoint plan --profile embedded --rate 12 --isl 2000 --osl 300 --ttft 300ms --itl 20ms",
        "setpoint config sample > setpoint.yaml",
        "setpoint run --config setpoint.yaml",
    ),
    "run": (
        "setpoint run --config setpoint.yaml",
        "setpoint run --profile profiles/h100 --ttft 300ms --itl 30ms --budget 16",
        "setpoint run -c setpoint.yaml --actuate --set pools.decode.max_step_down=1",
        "setpoint run --dgdr deploy.yaml --profile profiles/h100",
        "setpoint run --dgdr llm/qwen-sla --actuate",
        "setpoint run --profile profiles/h100 -- --adjustment-interval=60 --ttft=300 --itl=30",
    ),
    "demo": (
        "setpoint demo",
        "setpoint demo --speed 60 --duration 2m",
        "setpoint demo --plain --port 9085",
        "setpoint demo --plain --dgdr deploy.yaml",
    ),
    "plan": (
        "setpoint plan --profile embedded --rate 12 --isl 2000 --osl 300 --ttft 300ms --itl 20ms",
        "setpoint plan -c setpoint.yaml --rate 40 --isl 3000 --osl 150 --budget 16",
        "setpoint plan -c setpoint.yaml --rate 40 --isl 3000 --osl 150 -o json",
    ),
    "forecast": (
        "setpoint forecast trace.jsonl.gz",
        "setpoint forecast trace.jsonl.gz --interval 30s,1m,3m --horizon 5m --set forecast.log1p=true",
        "setpoint forecast --prometheus http://prometheus:9090 --last 24h",
        "setpoint forecast -c setpoint.yaml --predictor constant,kalman -o json",
    ),
    "config": (
        "setpoint config sample > setpoint.yaml",
        "setpoint config check -c setpoint.yaml",
        "setpoint config -c setpoint.yaml --ttft 500ms",
        "setpoint config schema > setpoint.schema.json",
        "setpoint config import deploy.yaml > setpoint.yaml",
        "setpoint config import -- --adjustment-interval 60 --ttft 300 --itl 30",
    ),
    "check": (
        "setpoint check --stage cluster",
        "setpoint check --stage platform",
        "setpoint check -c setpoint.yaml",
        "setpoint check -c setpoint.yaml --probe --frontend http://127.0.0.1:8000",
        "setpoint check -c setpoint.yaml --service-account llm:setpoint -o json",
    ),
    "dgd": (
        "setpoint dgd prepare deploy.yaml --image registry.example/setpoint:1.0 > prepared.yaml",
        "setpoint dgd prepare deploy.yaml --image registry.example/setpoint:1.0 --diff",
        "setpoint dgd prepare deploy.yaml --planner standalone --trust-remote-code --diff",
        "setpoint dgd prepare llm/qwen-sla --image registry.example/setpoint:1.0 --apply --wait",
    ),
    "status": (
        "setpoint status",
        "setpoint status --url http://setpoint.llm.svc:9085",
        "watch setpoint status",
    ),
    "explain": (
        "setpoint explain",
        "setpoint explain --last 5",
        "setpoint explain --journal decisions.jsonl --at 2026-01-31T14:05:00Z",
        "setpoint explain --at 10m",
    ),
}


def epilog(command: str) -> str:
    """Return the examples of a command as its help shows them; of the whole for an empty name."""
    # The backspace keeps typer from rewrapping what follows.
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in EXAMPLES[command])))
