"""What is built from the checkout holds all of it, and imports work wherever Python is started."""

import fastnn


def test_wheel_holds_the_whole_source(wheel, checkout):
    def content(root, folder):
        return {
            path.relative_to(root / folder).as_posix(): path.read_bytes()
            for path in (root / folder).rglob("*")
            if path.suffix in (".py", ".typed") and "kernels" not in path.relative_to(root / folder).parts[:-1]
            if path.name != "_digest.py"  # made by setup.py: test_frozen.py
        }

    assert content(wheel, "fastnn") == content(checkout, "fastnn")
    assert content(wheel, "fastnn/kernels") == content(checkout, "kernels")
    assert "py.typed" in content(wheel, "fastnn")
    assert {path.name for path in wheel.iterdir() if "dist-info" not in path.name} == {"fastnn"}


def test_command_line_is_declared(wheel):
    (metadata,) = wheel.glob("*.dist-info")
    assert "fastnn = fastnn.commands.cli:main" in (metadata / "entry_points.txt").read_text()
    assert f"Name: fastnn-core\nVersion: {fastnn.__version__}\n" in (metadata / "METADATA").read_text()


WHERE = "import fastnn.kernels.codes; print(fastnn.__file__); print(fastnn.kernels.codes.__file__)"


def test_wheel_works_outside_the_checkout(wheel, run_python, tmp_path):
    package, kernels = run_python(WHERE, cwd=tmp_path, PYTHONPATH=wheel).split()
    assert package == str(wheel / "fastnn" / "__init__.py")
    assert kernels == str(wheel / "fastnn" / "kernels" / "codes.py")


def test_checkout_works_without_being_installed(checkout, run_python):
    package, kernels = run_python(WHERE, cwd=checkout).split()
    assert package == str(checkout / "fastnn" / "__init__.py")
    assert kernels == str(checkout / "kernels" / "codes.py")


def test_the_bare_name_kernels_is_refused(checkout, run_python):
    code = """
        try:
            import kernels
        except ImportError as error:
            print(error)
    """
    assert "fastnn.kernels" in run_python(code, cwd=checkout)
