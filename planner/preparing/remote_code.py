"""`--trust-remote-code` for workers: added where it surely reaches the engine, else refused in words.

A list of arguments gets it at the end. A line for a shell gets it right after the words that start the
engine, which holds within pipes, redirections and continued lines too; where there is no such place, or
several, only a person can tell.
"""

import re
from collections.abc import Sequence

from config.errors import ConfigError
from config.units import quoted
from planner.preparing.graph import Part
from planner.preparing.notebook import Notebook

FLAG = "--trust-remote-code"
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
_SCRIPT = re.compile(r"-[a-z]*c[a-z]*\Z")
_ENGINES = r"dynamo\.(?:vllm|sglang)|vllm\.entrypoints\.openai\.api_server|sglang\.launch_server"
_START = re.compile(rf"(?:-m\s+(?:{_ENGINES})|\bvllm\s+serve)(?=[\s;|&)]|$)")
_WITHOUT = {
    "dynamo.trtllm": "TensorRT-LLM has no such argument; set trust_remote_code in its engine configuration",
    "dynamo.mocker": "a mocker runs no code of a model",
}
_MODEL = frozenset({"--model", "--model-path", "--served-model-name"})


def trust_remote_code(part: Part, notebook: Notebook) -> None:
    """Let a worker run code that comes with its model.

    Raises:
        ConfigError: If it cannot be told where the argument belongs.
    """
    command, args = part.words()
    words = [*command, *args]
    reason = next((why for engine, why in _WITHOUT.items() if any(engine in word for word in words)), "")
    if reason:
        notebook.noted(part.name, f"{FLAG} is not added: {reason}")
        return
    if any(re.search(rf"(?<!\S){FLAG}(?!\S)", word) for word in words):
        return
    changed = _in_script(part, words) if _is_script(words) else _in_list(part, words)
    key = "command" if len(args) == 0 and _is_script(words) else "args"
    part.container()[key] = changed if key == "command" else changed[len(command) :]
    notebook.changed(part.name, f"{FLAG} added")


def _is_script(words: Sequence[str]) -> bool:
    """Whether a shell runs a line of its own."""
    return _script_at(words) is not None


def _script_at(words: Sequence[str]) -> int | None:
    if not words or words[0].rpartition("/")[2] not in _SHELLS:
        return None
    for index, word in enumerate(words[1:], start=1):
        if not word.startswith("-"):
            return None
        if _SCRIPT.match(word) and index + 1 < len(words):
            return index + 1
    return None


def _in_script(part: Part, words: list[str]) -> list[str]:
    at = _script_at(words)
    text = words[at] if at is not None else ""
    starts = [
        one.end() for one in _START.finditer(text) if "#" not in text[: one.start()].rpartition("\n")[2]
    ]
    if at is None or len(starts) != 1:
        problem = (
            "the line for its shell starts no engine that is known"
            if not starts
            else f"the line for its shell starts {len(starts)} engines"
        )
        raise _unclear(part, problem)
    return [*words[:at], f"{text[: starts[0]]} {FLAG}{text[starts[0] :]}", *words[at + 1 :]]


def _in_list(part: Part, words: list[str]) -> list[str]:
    if not words:
        raise _unclear(part, "its image says what is started, and the arguments are not written here")
    if "--" in words:
        raise _unclear(part, "what follows after -- is not an argument of the engine")
    line = " ".join(words)
    if not (_START.search(line) or any(word.partition("=")[0] in _MODEL for word in words)):
        raise _unclear(part, f"it cannot be told which engine {quoted(words[0])} starts")
    return [*words, FLAG]


def _unclear(part: Part, problem: str) -> ConfigError:
    hint = f"add {FLAG} to it by hand, and prepare it without --trust-remote-code"
    return ConfigError(problem, key=f"{part.where} ({FLAG})", hint=hint)
