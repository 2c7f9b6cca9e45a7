"""The bottom floor: what a user can set, and the few things that everybody may use."""
