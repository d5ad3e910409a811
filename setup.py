"""What pyproject.toml cannot say: what is built carries a digest of its kernels (kernels/compiler/sources.py)."""

import runpy
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithDigest(build_py):
    """Writes the digest beside the kernels, but not in an editable installation, which has the sources."""

    def run(self):
        """Copy the modules, then read those that were copied."""
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib, "fastnn", "kernels")
            sources = runpy.run_path(str(folder / "compiler/sources.py"))
            digest = sources["digest_of"](sources["files_of"](folder))
            (folder / f"{sources['BUILT']}.py").write_text(f'"""Written by setup.py."""\n\nDIGEST = {digest!r}\n')


setup(cmdclass={"build_py": BuildWithDigest})
