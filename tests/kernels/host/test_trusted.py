"""What is kept on disk runs as code: nothing is read that another user might have written, and each refusal is said."""

import os
import pickle
import shutil
import stat
import struct
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fastnn.kernels.compiler import program_cache
from fastnn.kernels.host import cache_folder, files, trusted
from permissions import obeying_modes

from fastnn import datasets

OTHER = 54321  # a user and a group that nobody is
unix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners and modes of this kind there")
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture(autouse=True)
def told(monkeypatch, capsys):
    """Whatever is said is said as if for the first time; a function that returns it."""
    monkeypatch.delenv("FASTNN_QUIET", raising=False)
    monkeypatch.setattr(cache_folder, "_said", set())
    monkeypatch.setattr(program_cache.announce, "begun", {"machine", "network"})
    return lambda: capsys.readouterr().err


class Planted:
    """Who unpickles it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def planted(fresh_cache):
    """A file of a program as an attacker writes it: with the right name and digest."""
    program = program_cache.ProgramCache("case_float32", "any")
    program.path.parent.mkdir(mode=0o700)
    content = files.sealed(pickle.dumps(("signature", Planted(fresh_cache.parent / "struck"))))
    program.path.write_bytes(content)
    program.path.chmod(0o600)
    return program.path


def strikes(path):
    """Whether code in the file runs when a program is looked for."""
    program = program_cache.ProgramCache("case_float32", "any")
    program._restored = lambda *_: "loaded"
    loaded = program.load_overload("signature", SimpleNamespace(refresh=lambda: None))
    struck = path.parents[2] / "struck"
    assert struck.exists() == (loaded == "loaded")
    return loaded == "loaded"


def give_away(path):
    os.chown(path, OTHER, OTHER)


def give_to_a_group(path):
    os.chown(path, -1, OTHER)
    path.chmod(path.stat().st_mode | 0o020)


def name_another_writer(path):
    """With an access list, of which the mode only shows that there is one more who may write."""
    path.chmod(0o770)
    owner, user, group, mask, others, nobody = 0x01, 0x02, 0x04, 0x10, 0x20, 2**32 - 1
    entries = (owner, 7, nobody), (user, 7, OTHER), (group, 0, nobody), (mask, 7, nobody), (others, 0, nobody)
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", packed)
    except (AttributeError, OSError):
        pytest.skip("no access lists here")


def replace_by_link(path):
    moved = path.with_name("moved")
    path.rename(moved)
    path.symlink_to(moved)


def link_of_another(path):
    replace_by_link(path)
    os.chown(path, OTHER, OTHER, follow_symlinks=False)


WAYS = {
    "all may write the cache folder": (1, lambda path: path.chmod(0o777), "others may write"),
    "all may write it, each his own": (1, lambda path: path.chmod(0o1777), "others may write"),
    "all may write the programs' folder": (0, lambda path: path.chmod(0o707), "others may write"),
    "all may write the file": (None, lambda path: path.chmod(0o666), "others may write"),
    "all may write above": (2, lambda path: path.chmod(0o777), "others may write"),
    "the programs' folder is a link": (0, replace_by_link, "is a symbolic link"),
    "the file is a link": (None, replace_by_link, ""),
}
WAYS_OF_ROOT = {
    "another's cache folder": (1, give_away, f"belongs to another user, {OTHER}"),
    "another's programs' folder": (0, give_away, "belongs to another user"),
    "another's file": (None, give_away, "belongs to another user"),
    "another's folder above": (2, give_away, "belongs to another user"),
    "another's link": (1, link_of_another, "belongs to another user"),
    "a group's folder above": (2, give_to_a_group, "a group may write"),
    "a group's cache folder": (1, give_to_a_group, "a group may write"),
    "a group's programs' folder": (0, give_to_a_group, "a group may write"),
    "a group's file": (None, give_to_a_group, "a group may write"),
    "an access list": (1, name_another_writer, "a group may write"),
}


def test_what_only_we_wrote_is_loaded(planted, told):
    assert strikes(planted)
    assert told() == ""


@unix
@pytest.mark.parametrize(
    ("place", "attack", "said"),
    [*WAYS.values(), *(pytest.param(*way, marks=needs_root) for way in WAYS_OF_ROOT.values())],
    ids=[*WAYS, *WAYS_OF_ROOT],
)
def test_nothing_is_run_that_others_might_have_written(planted, told, place, attack, said):
    attack(planted if place is None else planted.parents[place])
    assert not strikes(planted)
    assert not strikes(planted)
    text = told()
    assert said in text
    assert text.count("\n") == (1 if said else 0)  # one sentence, once


@unix
@pytest.mark.parametrize("mode", [0o755, 0o711, 0o500], ids=oct)
def test_readers_do_no_harm(planted, told, mode):
    for folder in planted.parents[:3]:
        folder.chmod(mode)
    planted.chmod(0o444)
    assert strikes(planted)
    for folder in planted.parents[:3]:
        folder.chmod(0o700)
    assert told() == ""


@unix
def test_a_link_of_our_own_leads_to_the_cache_folder(planted, told, monkeypatch):
    (planted.parents[2] / "link").symlink_to("cache")
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(planted.parents[2] / "link"))
    assert strikes(planted)


@unix
def test_a_group_of_ones_own_may_write(monkeypatch, tmp_path):
    import grp
    import pwd

    tmp_path.chmod(0o775)
    gid = tmp_path.stat().st_gid

    def people(user="a", group="a", primary=gid, members=()):
        monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name=user, pw_gid=primary))
        monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_name=group, gr_gid=gid, gr_mem=list(members)))

    for one in ({}, {"members": ["a"]}):
        people(**one)
        trusted.check_folder(tmp_path)
    for several in ({"group": "staff"}, {"primary": gid + 1}, {"members": ["b"]}, {"members": ["a", "b"]}):
        people(**several)
        with pytest.raises(trusted.Unusable, match="a group may write"):
            trusted.check_folder(tmp_path)


@needs_root
def test_folders_above_may_be_open_to_groups_of_this_user(planted, monkeypatch):
    give_to_a_group(planted.parents[2])
    monkeypatch.setattr(os, "getgroups", lambda: [OTHER])
    assert strikes(planted)
    give_to_a_group(planted.parents[1])
    (planted.parents[2] / "struck").rmdir()
    assert not strikes(planted)


@needs_root
def test_a_container_may_not_know_root(planted, monkeypatch):
    monkeypatch.setattr(trusted, "_unmapped_user", lambda: OTHER)
    give_away(planted.parents[2])
    assert strikes(planted)
    give_away(planted.parents[1])
    (planted.parents[2] / "struck").rmdir()
    assert not strikes(planted)


@pytest.mark.parametrize(
    ("users", "unmapped"),
    [("         0          0 4294967295\n", None), ("0 1000 1\n1 100000 65536\n", None), ("1000 0 1\n", 65534)],
    ids=["no container", "with root", "without root"],
)
def test_users_that_a_container_does_not_know(monkeypatch, users, unmapped):
    texts = {"/proc/self/uid_map": users, "/proc/sys/kernel/overflowuid": "65534\n"}
    monkeypatch.setattr(Path, "read_text", lambda path: texts[path.as_posix()])
    assert trusted._unmapped_user.__wrapped__() == unmapped


@needs_root
def test_a_user_reads_what_root_wrote_and_root_nothing_of_a_users(planted, run_python):
    """Each asks for itself, in a process that began as root's."""
    code = """
        import os
        from pathlib import Path
        from fastnn.kernels.host import trusted
        path = Path(os.environ["PLANTED"])
        def outcome():
            try:
                return trusted.read_kept(path) != b""
            except trusted.Unusable as fault:
                return str(fault)
        os.chmod(path.parents[3], 0o755)
        for folder in path.parents[:3]:
            os.chmod(folder, 0o755)
        path.chmod(0o644)
        assert outcome() is True
        os.seteuid(1000)
        print(outcome())
        os.seteuid(0)
        os.chown(path, 1000, 1000)
        assert "belongs to another user, 1000" in outcome()
        os.seteuid(1000)
        print(outcome())
        """
    top = Path(tempfile.mkdtemp())
    try:
        path = top / "a" / "cache" / "kernels" / planted.name
        path.parent.mkdir(parents=True)
        shutil.copy(planted, path)
        assert run_python(code, PLANTED=path).split() == ["True", "True"]
    finally:
        shutil.rmtree(top)


def test_new_folders_are_private_whatever_the_mask(fresh_cache, monkeypatch):
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(fresh_cache / "a" / "b"))
    before = os.umask(0)
    try:
        program = program_cache.ProgramCache("case_float32", "any")
        program._payload = lambda *_: b"code"
        program.save_overload("signature", None)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (program.path, *program.path.parents[:4])]
    finally:
        os.umask(before)
    assert modes == [0o600, 0o700, 0o700, 0o700, 0o700] or os.name == "nt"


# --- folders that cannot be ------------------------------------------------------------------------------------------


def loop(tmp_path):
    (tmp_path / "loop").symlink_to("other")
    (tmp_path / "other").symlink_to("loop")
    return tmp_path / "loop" / "cache"


def nowhere(tmp_path):
    (tmp_path / "link").symlink_to("nothing")
    return tmp_path / "link"


def a_file(tmp_path):
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


IMPOSSIBLE = {
    "loop": loop,
    "link to nowhere": nowhere,
    "file": a_file,
    "below a file": lambda tmp_path: a_file(tmp_path) / "cache",
    "long name": lambda tmp_path: tmp_path / ("x" * 300),
    "long path": lambda tmp_path: "/".join(["x" * 200] * 30),
    "unknown user": lambda tmp_path: "~nobody-of-this-name/cache",
    "pseudo file system": lambda tmp_path: "/proc/cache",
}


@unix
@pytest.mark.parametrize("name", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_folder_that_cannot_be_is_said_once(tmp_path, monkeypatch, told, name):
    monkeypatch.chdir(tmp_path)
    folder = str(name(tmp_path))
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setenv("FASTNN_CACHE_DIR", folder)
    for _ in range(2):
        assert cache_folder.cache_root() is None
        assert program_cache.ProgramCache("case_float32", "any").path is None
    text = told()
    assert text.startswith("fastnn: nothing is kept in ")
    assert text.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == before


def test_quiet_is_quiet(tmp_path, monkeypatch, told):
    monkeypatch.setenv("FASTNN_QUIET", "1")
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(a_file(tmp_path)))
    assert cache_folder.cache_root() is None
    assert told() == ""


@unix
@pytest.mark.parametrize(
    "name",
    ["größe", "猫", "two words", "new\nline", os.fsdecode(b"\xff\xfe"), "~", "-x", "a/../b"],
    ids=["umlaut", "cat", "words", "lines", "bytes", "home", "dash", "up"],
)
def test_odd_names_are_names(tmp_path, monkeypatch, told, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FASTNN_CACHE_DIR", name if name == "~" else f"{tmp_path}/{name}")
    assert cache_folder.cache_root().is_dir()
    assert told() == ""


def test_a_relative_folder_stays_where_it_was(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTNN_CACHE_DIR", f"relative-{tmp_path.name}")
    expected = tmp_path / f"relative-{tmp_path.name}"
    assert cache_folder.cache_root() == expected
    os.chdir("elsewhere")
    assert cache_folder.cache_root() == expected
    assert os.listdir() == []


def test_no_current_folder(tmp_path, monkeypatch, told):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    try:
        gone.rmdir()
    except OSError:
        pytest.skip("a current folder cannot be deleted here")
    monkeypatch.setenv("FASTNN_CACHE_DIR", "cache-of-a-folder-that-is-gone")
    assert cache_folder.cache_root() is None
    assert told().startswith("fastnn: nothing is kept in ")


# --- data ------------------------------------------------------------------------------------------------------------

ROWS = b"6,148,72,35,0,33.6,0.627,50,1\n1,85,66,29,0,26.6,0.351,31,0"


@pytest.fixture
def arrays(fresh_cache, tmp_path, monkeypatch):
    """File of parsed data that were changed by somebody who knows how."""
    import dataclasses
    import hashlib
    import io

    pima = dataclasses.replace(datasets.pima.PIMA, sha256=hashlib.sha256(ROWS).hexdigest())
    monkeypatch.setattr(datasets.pima, "PIMA", pima)
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    (tmp_path / "pima-indians-diabetes.csv").write_bytes(ROWS)
    datasets.load_pima()
    (path,) = (fresh_cache / "data").iterdir()
    file = io.BytesIO()
    np.savez(file, x=np.zeros((2, 8)), y=np.zeros(2))
    path.write_bytes(files.sealed(file.getvalue(), pima._origin))
    return path


def believed():
    return not datasets.load_pima()[0].any()


def test_kept_data_are_believed(arrays):
    assert believed()


def without_digest(path):
    path.write_bytes(path.read_bytes()[files.DIGEST_BYTES :])


def of_another_file(path):
    path.write_bytes(files.sealed(path.read_bytes()[files.DIGEST_BYTES :], bytes(32)))


DATA = {
    "no digest": without_digest,
    "of another file": of_another_file,
    "all may write the file": lambda path: path.chmod(0o666),
    "all may write the folder": lambda path: path.parent.chmod(0o777),
    "all may write the cache folder": lambda path: path.parents[1].chmod(0o777),
    "link": replace_by_link,
}


@unix
@pytest.mark.parametrize("attack", DATA.values(), ids=DATA)
def test_data_of_others_are_not_believed(arrays, attack):
    attack(arrays)
    assert not believed()


# --- shared ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def common(monkeypatch):
    """A new cache folder that other users may enter; its path."""
    top = Path(tempfile.mkdtemp())
    top.chmod(0o755)
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(top / "cache"))
    yield top / "cache"
    shutil.rmtree(top)


def save(name="case_float32"):
    program = program_cache.ProgramCache(name, "any")
    program._payload = lambda *_: b"code"
    program.save_overload("signature", None)
    return program.path


@unix
def test_share_lets_others_read_what_is_and_what_will_be(common):
    first, foreign = save(), common / "mine.txt"
    cache_folder.check_shareable(common)
    foreign.write_text("private")
    foreign.chmod(0o600)
    cache_folder.share(common)
    before = os.umask(0o077)
    try:
        second = save("case_float64")
    finally:
        os.umask(before)
    mark = first.with_name(cache_folder.MARK)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (common, first.parent, first, second, mark, foreign)] == [
        0o755, 0o755, 0o644, 0o644, 0o644, 0o600,
    ]  # fmt: skip
    trusted.read_kept(second)


@unix
def test_what_cannot_be_shared(common):
    save()
    (common / "thesis.txt").write_text("private")
    with pytest.raises(PermissionError, match="other users may not enter it"):
        cache_folder.check_shareable(common)  # the user's own things would be open to all
    (common / "thesis.txt").unlink()
    cache_folder.check_shareable(common)
    common.parent.chmod(0o700)
    with pytest.raises(PermissionError, match="other users may not enter it") as error:
        cache_folder.check_shareable(common)
    assert error.value.filename == str(common.parent)


@needs_root
@pytest.mark.slow
def test_root_makes_programs_for_another_user(common, run_python):
    """As in the image of a container; the other user's process is a fork, as he may not be able to import anything."""
    output = run_python(f"""
        import os, sys
        sys.stderr = sys.stdout
        import numpy as np
        from fastnn import Perceptron
        from fastnn.kernels.compiler import program_cache, jit
        from fastnn.kernels.host import cache_folder

        def fit():
            x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
            print(Perceptron(shuffle=False).fit(x, [0, 0, 0, 1]).predict(x[3:]), flush=True)

        def fit_of_another(title):
            print(title, flush=True)
            if child := os.fork():
                assert os.waitpid(child, 0)[1] == 0
                return
            try:
                os.setgroups([])
                os.setgid({OTHER})
                os.setuid({OTHER})
                jit._programs.clear()
                program_cache.announce.begun.clear()
                cache_folder._said.clear()
                fit()
                os._exit(0)
            finally:
                os._exit(1)

        fit()
        fit_of_another("-- may not enter")
        os.chmod({str(common)!r}, 0o755)
        fit_of_another("-- may enter")
        cache_folder.share(cache_folder.cache_root())
        fit_of_another("-- shared")
        """)
    first, outside, inside, shared = output.split("-- ")
    advice = "and may not be read (`fastnn warmup --shared` by that user lets others read it)"
    for told in (outside, inside):
        assert told.count(advice) == told.count("fastnn: compiling") == 1
        assert told.endswith("[1]\n")
    assert first.count("fastnn:") == 1
    assert shared == "shared\n[1]\n"


@obeying_modes
def test_a_full_or_read_only_folder_is_said_once(fresh_cache, told):
    path = save()
    path.parent.chmod(0o500)
    save("case_float64")
    save("case_float64_other")
    path.parent.chmod(0o700)
    assert told().count("compiled programs cannot be kept in") == 1
