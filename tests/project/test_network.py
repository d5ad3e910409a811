"""Nothing goes to the network unless the user asked for it."""

WATCHED = """
    import sys
    calls = []
    def note(event, arguments):
        if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.gethostby", "urllib.Request")):
            calls.append(event)
    sys.addaudithook(note)
    import numpy as np, fastnn
    for name in fastnn.__all__:
        getattr(fastnn, name)
    model = fastnn.Sequential([fastnn.Dense(3, "relu", input_shape=(4,)), fastnn.Dense(1)])
    model.compile("adam", "mse")
    x = np.ones((20, 4))
    model.fit(x, x[:, 0], verbose=0)
    model.predict(x)
    import warnings
    warnings.simplefilter("ignore")
    fastnn.MLPClassifier((3,), max_iter=2).fit(x, np.arange(20) % 2).predict(x)
    from typer.testing import CliRunner
    from fastnn.commands.cli import app
    with open("table.csv", "w") as file:
        file.writelines(["a,b\\n", *(f"{n},{n % 2}\\n" for n in range(60))])
    fastnn.datasets.load_breast_cancer(), fastnn.datasets.load_digits()
    commands = "info", "cache info", "train table.csv --target b --epochs 2 --output model", "predict model table.csv"
    for command in commands:
        result = CliRunner().invoke(app, command.split(), prog_name="fastnn")
        assert result.exit_code == 0, result.output
    print(calls)
"""


def test_no_call_that_nobody_asked_for(run_python, tmp_path):
    """From importing to the command line; data sets of others are downloaded only where they are asked for."""
    assert run_python(WATCHED, cwd=tmp_path) == "[]\n"


def test_the_watch_sees_calls(run_python, tmp_path):
    code = WATCHED.replace("model.predict(x)", "__import__('socket').getaddrinfo('127.0.0.1', 1)")
    assert "socket.getaddrinfo" in run_python(code, cwd=tmp_path)
