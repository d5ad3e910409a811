"""The door through which files are written: what it refuses, what it keeps, and that nothing is lost or left behind."""

import os
import socket
import stat

import numpy as np
import pytest
from fastnn.kernels.host import files
from permissions import CHOWN, give_up_rights, obeying_modes

from fastnn import BackupAndRestore, Dense, ModelCheckpoint, Sequential
from fastnn.commands import outputs

unix = pytest.mark.skipif(os.name == "nt", reason="no such files there")
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")


def small_model():
    model = Sequential([Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    return model


def save_at_the_end_of_an_epoch(path):
    model = small_model()
    model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[ModelCheckpoint(path)])


WRITERS = {
    "bytes": lambda path: files.write_atomically(path, b"new"),
    "save": lambda path: small_model().save(path),
    "checkpoint": save_at_the_end_of_an_epoch,
    "command": lambda path: outputs.write_text(path, "new"),
}
every_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # names of sockets are short


def make_device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("may not make a device")


@unix
@every_writer
@pytest.mark.parametrize(
    ("make", "kind"),
    [(make_pipe, "a pipe"), (make_socket, "a socket"), (make_device, "a device"), (os.mkdir, "a folder")],
)
def test_only_regular_files_are_replaced(tmp_path, monkeypatch, write, make, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "it"
    make(path)
    before = os.lstat(path)
    with pytest.raises(OSError, match=f"it is {kind}"):
        write(path)
    assert os.lstat(path) == before
    assert os.listdir(tmp_path) == ["it"]


@unix
@every_writer
def test_what_a_link_leads_to_is_replaced_only_if_it_is_a_file(tmp_path, write):
    make_pipe(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="it is a pipe|it is a symbolic link to pipe"):
        write(tmp_path / "link")
    with pytest.raises(OSError, match="it is a symbolic link"):
        write(tmp_path / "circle")
    assert sorted(os.listdir(tmp_path)) == ["circle", "link", "pipe"]


@unix
def test_commands_do_not_follow_links_and_the_library_keeps_them(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"old")
    link.symlink_to("file")
    for call in (lambda: outputs.check(link), lambda: outputs.write(link, b"new")):
        with pytest.raises(OSError, match="it is a symbolic link to file: name that file, or another"):
            call()
    assert file.read_bytes() == b"old"
    files.write_atomically(link, b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"


@unix
@pytest.mark.parametrize("other_name", [os.link, os.symlink, lambda file, name: os.rename(file, name)])
def test_a_file_that_is_read_is_not_written(tmp_path, other_name):
    file, name = tmp_path / "table.csv", tmp_path / "output"
    file.write_bytes(b"rows")
    other_name(file, name)
    reads = [tmp_path / "nowhere", file if file.exists() else name]
    write = files.write_atomically
    for call in (lambda: files.target_of(name, reads), lambda: write(name, b"new", reads=reads)):
        with pytest.raises(OSError, match="it is the file that is read as"):
            call()
    assert name.read_bytes() == b"rows"


@unix
@every_writer
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_the_mode_of_a_file_is_kept(tmp_path, write, mode):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() != b"old"


@unix
@every_writer
def test_a_new_file_has_the_usual_mode(tmp_path, write):
    before = os.umask(0o027)
    try:
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@needs_root
@every_writer
def test_the_owner_of_a_file_is_kept(tmp_path, write):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 54321, 54322)
    write(path)
    found = path.stat()
    assert (found.st_uid, found.st_gid) == (54321, 54322)


@obeying_modes
def test_a_file_whose_owner_cannot_be_kept_is_left_alone(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o666)
    os.chown(path, 54321, 54322)
    give_up_rights(CHOWN)
    with pytest.raises(PermissionError, match="it belongs to user 54321 and group 54322, which cannot be kept"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@unix
def test_nobody_else_can_open_the_new_content_of_a_private_file(tmp_path, monkeypatch):
    path, modes = tmp_path / "file", []
    path.write_bytes(b"old")
    path.chmod(0o600)
    take_over = files.take_over

    def watched(old, new):
        modes.append(stat.S_IMODE(new.stat().st_mode))
        take_over(old, new)

    monkeypatch.setattr(files, "take_over", watched)
    files.write_atomically(path, b"new")
    assert modes == [0o600]


@obeying_modes
def test_a_write_protected_file_is_left_alone(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match="it is write-protected"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    path.chmod(0o644)
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="its folder may not be written"):
        files.target_of(path)
    tmp_path.chmod(0o700)


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for failure in (OSError(28, "No space left on device"), KeyboardInterrupt()):
        monkeypatch.setattr(os, "fsync", lambda _, failure=failure: (_ for _ in ()).throw(failure))
        with pytest.raises(type(failure)):
            files.write_atomically(path, b"new", durable=True)
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["file"]


def test_a_backup_deletes_only_what_it_left_behind(tmp_path):
    others = ["notes.tmp", "backup.fastnn.tmp", "backup.fastnn.mine.tmp", "x-backup.fastnn.0123abcd.tmp"]
    for name in (*others, "backup.fastnn.0123abcd.tmp"):
        (tmp_path / name).write_bytes(b"something")
    (tmp_path / "backup.fastnn.deadbeef.tmp").mkdir()
    small_model().fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[BackupAndRestore(tmp_path)])
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "backup.fastnn.deadbeef.tmp"])
