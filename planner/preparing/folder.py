"""A profile of the cluster as the folder that a profile is everywhere else."""

import atexit
import shutil
import tempfile
from pathlib import Path

from config.errors import ConfigError
from planner.preparing.outputs import Profile


def folder_of(profile: Profile) -> Path:
    """Write a profile to a folder of its own, which is removed when the process ends.

    Raises:
        ConfigError: If there is no place for it.
    """
    try:
        parent = Path(tempfile.mkdtemp(prefix="setpoint-profile-"))
        atexit.register(shutil.rmtree, parent, ignore_errors=True)
        folder = parent / Path(profile.name or "profile").name
        folder.mkdir()
        for name, text in profile.files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"its files cannot be written: {error.strerror or error}",
            key=f"ConfigMap {profile.name}",
            hint="mount a writable /tmp, name another folder in TMPDIR, or set the setting profile",
        ) from None
    return folder
