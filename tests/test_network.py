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
    print(calls)
"""


def test_no_call_that_nobody_asked_for(run_python):
    assert run_python(WATCHED) == "[]\n"
