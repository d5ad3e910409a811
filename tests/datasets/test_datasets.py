"""Data sets: found in the right order, checked, parsed, cached; every failure says what to do."""

import dataclasses
import gzip
import hashlib
import socket
import sys
import types
import zipfile

import numpy as np
import pytest

from fastnn import datasets
from fastnn.datasets import pima, sign_mnist
from fastnn.datasets.published_file import read_plain

PIMA_ROWS = b"6,148,72,35,0,33.6,0.627,50,1\n1,85,66,29,0,26.6,0.351,31,0"


@pytest.fixture
def lonely(fresh_cache, monkeypatch):
    """No ``FASTNN_DATA``, an empty cache folder (returned) and no network."""

    def no_network(*args, **kwargs):
        raise socket.gaierror("no network here")

    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    return fresh_cache


def published(monkeypatch, module, name, content):
    """Let `content` pass as the published file behind ``<module>.<name>``."""
    file = dataclasses.replace(getattr(module, name), sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(module, name, file)
    return file


@pytest.fixture
def tiny_pima(lonely, monkeypatch):
    """The cache folder, with a Pima file of two rows as the published one."""
    published(monkeypatch, pima, "PIMA", PIMA_ROWS)
    return lonely


def sign_csv(labels, rng):
    pixels = rng.integers(256, size=(len(labels), 784))
    rows = [",".join(map(str, [label, *row])) for label, row in zip(labels, pixels, strict=True)]
    return ("label," + ",".join(f"pixel{i}" for i in range(1, 785)) + "\n" + "\n".join(rows) + "\n").encode(), pixels


def write_plain(path, content):
    path.write_bytes(content)
    return path


def write_gzip(path, content):
    return write_plain(path.with_name(path.name + ".gz"), gzip.compress(content))


def write_zip(path, content):
    with zipfile.ZipFile(path.with_name(path.name + ".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "not this one")
        archive.writestr(f"folder/{path.name}", content)
    return path.with_name(path.name + ".zip")


@pytest.mark.parametrize("write", [write_plain, write_gzip, write_zip])
def test_pima_plain_or_compressed_by_file_or_folder(write, tiny_pima, tmp_path):
    written = write(tmp_path / "pima-indians-diabetes.csv", PIMA_ROWS)
    for path in (written, str(tmp_path)):
        X, y = datasets.load_pima(path)
        np.testing.assert_array_equal(X, [[6, 148, 72, 35, 0, 33.6, 0.627, 50], [1, 85, 66, 29, 0, 26.6, 0.351, 31]])
        np.testing.assert_array_equal(y, [1, 0])
        assert (X.dtype, y.dtype) == (np.float64, np.int64)
        assert X.shape[1] == len(datasets.PIMA_FEATURES)
    assert not (tiny_pima / "data").exists()  # an explicit path leaves the cache alone


def test_sign_mnist_pictures_and_labels(lonely, monkeypatch, tmp_path, rng):
    train, pixels = sign_csv([0, 8, 10, 24], rng)
    test, _ = sign_csv([3], rng)
    published(monkeypatch, sign_mnist, "SIGN_TRAIN", train)
    published(monkeypatch, sign_mnist, "SIGN_TEST", test)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:  # as Kaggle packs it
        archive.writestr("sign_mnist_train/sign_mnist_train.csv", train)
        archive.writestr("sign_mnist_test.csv", test)
    for path in (tmp_path, tmp_path / "archive.zip"):
        (x_train, y_train), (x_test, y_test) = datasets.load_sign_mnist(path)
        assert (x_train.shape, x_test.shape, x_train.dtype) == ((4, 28, 28), (1, 28, 28), np.uint8)
        np.testing.assert_array_equal(x_train.reshape(4, 784), pixels)
        assert [datasets.SIGN_MNIST_LETTERS[label] for label in y_train] == ["A", "I", "K", "Y"]
        assert y_test.tolist() == [3]


def test_the_order_of_places(tiny_pima, tmp_path, monkeypatch):
    kept = tiny_pima / "data"
    kept.mkdir(parents=True)
    write_plain(kept / "pima-indians-diabetes.csv", PIMA_ROWS)
    assert datasets.load_pima()[0].shape == (2, 8)
    for parsed in kept.glob("*.arrays"):
        parsed.unlink()

    named = tmp_path / "named"
    named.mkdir()
    write_plain(named / "pima-indians-diabetes.csv", b"edited")
    monkeypatch.setenv("FASTNN_DATA", str(named))
    with pytest.raises(ValueError, match="named.*is not pima-indians-diabetes.csv as published: its SHA-256 is"):
        datasets.load_pima()
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        datasets.load_pima(tmp_path / "elsewhere")


def test_second_time_from_the_cache(tiny_pima, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    csv = write_plain(tmp_path / "pima-indians-diabetes.csv", PIMA_ROWS)
    first = datasets.load_pima()
    csv.unlink()
    second = datasets.load_pima()
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(np.float64(148).tobytes(), np.float64(149).tobytes()),
        lambda content: b"",
    ],
    ids=["cut", "changed", "empty"],
)
def test_damaged_cache_is_read_anew(damage, tiny_pima, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    write_plain(tmp_path / "pima-indians-diabetes.csv", PIMA_ROWS)
    whole = datasets.load_pima()[0]
    (parsed,) = (tiny_pima / "data").glob("*.arrays")
    content = parsed.read_bytes()
    assert damage(content) != content
    parsed.write_bytes(damage(content))
    np.testing.assert_array_equal(datasets.load_pima()[0], whole)
    assert parsed.read_bytes() == content  # mended


def test_no_place_for_a_cache(tiny_pima, tmp_path, monkeypatch):
    blocker = write_plain(tmp_path / "a file", b"")
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(blocker / "cache"))
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    write_plain(tmp_path / "pima-indians-diabetes.csv", PIMA_ROWS)
    assert datasets.load_pima()[0].shape == datasets.load_pima()[0].shape == (2, 8)


def test_nowhere_to_be_had(lonely, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no network here.*openml.org.*path=.*FASTNN_DATA"):
        datasets.load_pima()
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(FileNotFoundError, match=r"sign_mnist_train.csv.*kaggle.com.*pip install kagglehub"):
        datasets.load_sign_mnist()
    assert socket.getdefaulttimeout() is None


def test_pima_from_openml_is_checked_like_the_file(tiny_pima, monkeypatch):
    table = np.array([[float(v) for v in row.split(b",")] for row in PIMA_ROWS.split(b"\n")])

    def fetch(changed):
        target = np.array(["tested_positive", "tested_negative"], dtype=object)
        reply = types.SimpleNamespace(data=table[:, :8] + changed, target=target)
        monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda **kwargs: reply)
        return datasets.load_pima()

    with pytest.raises(ValueError, match="downloaded pima-indians-diabetes.csv is not"):
        fetch(changed=1.0)
    X, y = fetch(changed=0.0)
    np.testing.assert_array_equal(X, table[:, :8])
    assert y.tolist() == [1, 0]


def test_sign_mnist_from_kaggle(lonely, monkeypatch, tmp_path, rng):
    content, pixels = sign_csv([7, 11], rng)
    for name, source in (("sign_mnist_train.csv", "SIGN_TRAIN"), ("sign_mnist_test.csv", "SIGN_TEST")):
        published(monkeypatch, sign_mnist, source, content)
        write_zip(tmp_path / name, content)
    asked = []

    def dataset_download(handle, path):
        asked.append((handle, path))
        return str(tmp_path / f"{path}.zip")

    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=dataset_download))
    (x, y), _ = datasets.load_sign_mnist()
    np.testing.assert_array_equal(x.reshape(2, 784), pixels)
    assert y.tolist() == [7, 10]
    assert asked[0] == ("datamunge/sign-language-mnist", "sign_mnist_train.csv")


def test_damaged_or_wrong_archives(tiny_pima, tmp_path):
    cut = write_plain(tmp_path / "cut.csv.gz", gzip.compress(PIMA_ROWS)[:-9])
    with pytest.raises(OSError, match="cut.csv.gz is damaged or incomplete.*get it again"):
        datasets.load_pima(cut)
    whole = write_zip(tmp_path / "pima-indians-diabetes.csv", PIMA_ROWS)
    cut = write_plain(tmp_path / "cut.zip", whole.read_bytes()[:-9])
    with pytest.raises(OSError, match="cut.zip is damaged or incomplete"):
        datasets.load_pima(cut)
    other = write_zip(tmp_path / "other.csv", PIMA_ROWS)
    with pytest.raises(FileNotFoundError, match="holds no pima.*only readme.txt, folder/other.csv"):
        read_plain(other, "pima-indians-diabetes.csv")


def test_a_long_read_says_so_on_a_terminal_only(tiny_pima, tmp_path, capsys, monkeypatch):
    csv = write_plain(tmp_path / "pima-indians-diabetes.csv", PIMA_ROWS)
    datasets.load_pima(csv)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    datasets.load_pima(csv)
    out, err = capsys.readouterr()
    assert (out, "Reading" in err) == ("", True)


@pytest.mark.parametrize(
    ("load", "shapes", "n_classes"),
    [
        (datasets.load_breast_cancer, [(426, 30), (143, 30)], 2),
        (datasets.load_digits, [(1347, 8, 8), (450, 8, 8)], 10),
        (lambda: datasets.make_sign_mnist_like(300, 100), [(300, 28, 28), (100, 28, 28)], 24),
    ],
)
def test_sets_without_a_download(load, shapes, n_classes):
    (x_train, y_train), (x_test, y_test) = load()
    again = load()
    assert [x_train.shape, x_test.shape] == shapes
    assert y_train.dtype == y_test.dtype == np.int64
    assert set(y_train) == set(range(n_classes)) >= set(y_test)
    np.testing.assert_array_equal(x_train, again[0][0])
    np.testing.assert_array_equal(y_test, again[1][1])


def test_synthetic_hands_can_be_learned():
    from sklearn.neighbors import NearestCentroid

    (x_train, y_train), (x_test, y_test) = datasets.make_sign_mnist_like(2000, 500, seed=3)
    assert x_train.dtype == np.uint8
    score = NearestCentroid().fit(x_train.reshape(2000, -1), y_train).score(x_test.reshape(500, -1), y_test)
    assert score > 0.9
    assert not np.array_equal(x_train, datasets.make_sign_mnist_like(2000, 500, seed=4)[0][0])
    with pytest.raises(ValueError, match="n_test must be at least 0, got 5 and -1"):
        datasets.make_sign_mnist_like(5, -1)


def test_real_pima(pima):
    X, y = pima
    assert X.shape == (768, 8)
    assert y.sum() == 268
    assert X[0].tolist() == [6, 148, 72, 35, 0, 33.6, 0.627, 50]


def test_openml_row_format_rebuilds_the_published_pima_file(pima, fresh_cache, monkeypatch):
    X, y = pima
    reply = types.SimpleNamespace(data=X, target=np.where(y == 1, "tested_positive", "tested_negative").astype(object))
    monkeypatch.delenv("FASTNN_DATA")
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda **kwargs: reply)
    np.testing.assert_array_equal(datasets.load_pima()[0], X)


def test_real_sign_mnist(sign_mnist):
    (x_train, y_train), (x_test, y_test) = sign_mnist
    assert (x_train.shape, x_test.shape) == ((27455, 28, 28), (7172, 28, 28))
    assert np.bincount(y_train)[[0, 9, 23]].tolist() == [1126, 1114, 1118]  # A, K (label 10 in the file), Y
    assert np.bincount(y_test).size == len(datasets.SIGN_MNIST_LETTERS) == 24
    assert x_train[0, 0, :4].tolist() == [107, 118, 127, 134]
