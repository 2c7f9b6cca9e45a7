"""The command line: thin, each command over a function of `planner.commands`."""


def main() -> None:
    """Run the command line."""
