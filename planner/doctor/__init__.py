"""`setpoint check`: what is wrong with a set-up, before it costs anything."""
