"""PyInstaller's hook: all modules, and the kernels with their sources, from which programs for one network are made."""

from PyInstaller.utils.hooks import collect_submodules

hiddenimports = collect_submodules("fastnn", filter=lambda name: "__pyinstaller" not in name)
hiddenimports += ["numba._devicearray"]  # imported by code in C
module_collection_mode = {"fastnn.kernels": "pyz+py"}
