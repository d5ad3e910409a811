"""What PyInstaller has to know of fastnn; it finds this by the entry points of the installed package."""

import os


def hook_dirs() -> list[str]:
    """Return the folders of hooks."""
    return [os.path.dirname(__file__)]
