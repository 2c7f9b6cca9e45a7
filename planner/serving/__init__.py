"""What the daemon records and shows: journal, metrics, health, API, log."""
