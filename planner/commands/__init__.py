"""What each command of the command line does, as functions that Python users can call."""
