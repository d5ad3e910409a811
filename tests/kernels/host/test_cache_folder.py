"""What is deleted from the cache folder: what fastnn wrote, and nothing else, wherever the folder is."""

import os

import pytest
from fastnn.kernels.compiler import program_cache
from fastnn.kernels.host import cache_folder

from fastnn.commands.machine import clear_cache

PROGRAM = "train_steps_float32_for_0123456789abcdef.network.bin"


def program_folder(root, number, age=0.0):
    """A folder of programs of another version, ``age`` seconds older than others."""
    folder = root / f"kernels-{number:016x}"
    folder.mkdir(parents=True)
    for name in ("infer_rows_float64.bin", PROGRAM, "infer_rows_float64.bin.0123abcd.tmp"):
        (folder / name).write_bytes(b"code")
    (folder / cache_folder.MARK).write_bytes(cache_folder.MARK_TEXT)
    os.utime(folder, (1e9 - age, 1e9 - age))
    return folder


def save(name="case_float32", for_network=False):
    """A program that is stored, as a prediction or a fit in a new version does; its file."""
    program = program_cache.ProgramCache(name, "any", for_network)
    program._payload = lambda *_: b"code"
    program.save_overload("signature", None)
    return program.path


def tree(root):
    """All paths below, with the content of files."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
        if not path.is_symlink()
    } | {str(path.relative_to(root)): os.readlink(path) for path in root.rglob("*") if path.is_symlink()}


def test_the_mark_is_that_of_caches(fresh_cache):
    """As https://bford.info/cachedir/ has it, so that tools for backups leave the folder out."""
    path = save()
    content = path.with_name("CACHEDIR.TAG").read_bytes()
    assert content.startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    assert content == cache_folder.MARK_TEXT


def test_folders_of_versions_used_long_ago_are_removed(fresh_cache):
    folders = [program_folder(fresh_cache, age, age) for age in range(12)]
    (fresh_cache / "data").mkdir()
    present = save().parent
    left = folders[: cache_folder.KEPT_FOLDERS - 1]
    assert sorted(fresh_cache.iterdir()) == sorted([*left, present, fresh_cache / "data"])


def foreign_name(folder):
    return folder.rename(folder.with_name("kernels-of-mine"))


def longer_name(folder):
    return folder.rename(folder.with_name(folder.name + "0"))


def upper_case(folder):
    return folder.rename(folder.with_name(folder.name[:-1] + "F"))


def no_mark(folder):
    (folder / cache_folder.MARK).unlink()
    return folder


def mark_of_others(folder):
    (folder / cache_folder.MARK).write_bytes(cache_folder.MARK_TEXT.splitlines(True)[0])
    return folder


def mark_is_a_link(folder):
    (folder / cache_folder.MARK).rename(folder.parent / "mark")
    (folder / cache_folder.MARK).symlink_to("../mark")
    return folder


def mark_is_a_folder(folder):
    (folder / cache_folder.MARK).unlink()
    (folder / cache_folder.MARK).mkdir()
    return folder


def link_to_a_folder(folder):
    elsewhere = folder.rename(folder.parent / "elsewhere")
    folder.symlink_to(elsewhere)
    return folder


def nothing_but_a_file(folder):
    folder.rename(folder.parent / "elsewhere")
    folder.write_text("text")
    return folder


FOREIGN = [
    foreign_name, longer_name, upper_case, no_mark, mark_of_others, mark_is_a_link, mark_is_a_folder, link_to_a_folder,
    nothing_but_a_file,
]  # fmt: skip


def prune_all(root):
    """What a prediction deletes where it keeps no folder of another version, as if all others were newer."""
    cache_folder.prune(save().parent)


DELETERS = {"prune": prune_all, "clear": lambda root: clear_cache()}
every_deleter = pytest.mark.parametrize("delete", DELETERS.values(), ids=DELETERS)


@pytest.fixture
def none_kept(monkeypatch):
    monkeypatch.setattr(cache_folder, "KEPT_FOLDERS", 1)


@every_deleter
@pytest.mark.parametrize("change", FOREIGN, ids=lambda change: change.__name__)
@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_folders_of_others_stay(fresh_cache, none_kept, delete, change):
    folder = change(program_folder(fresh_cache, 0))
    before = tree(fresh_cache)
    ours = program_folder(fresh_cache, 1)
    delete(fresh_cache)
    assert folder.exists()
    assert not ours.exists()
    assert {name: content for name, content in tree(fresh_cache).items() if name in before} == before


def file_of_another_name(folder):
    (folder / "model.bin").write_bytes(b"mine")


def file_of_another_kind(folder):
    (folder / "notes_float32.txt").write_bytes(b"mine")


def temporary_of_another(folder):
    (folder / "mine.bin.0123abcd.tmp").write_bytes(b"mine")


def folder_in_it(folder):
    (folder / "case_float32.bin").mkdir()
    (folder / "case_float32.bin" / "thesis.txt").write_bytes(b"mine")


def link_to_a_file(folder):
    (folder.parent / "thesis.txt").write_bytes(b"mine")
    (folder / "case_float32.bin").symlink_to("../thesis.txt")


THINGS = [file_of_another_name, file_of_another_kind, temporary_of_another, folder_in_it, link_to_a_file]


@every_deleter
@pytest.mark.parametrize("put", THINGS, ids=lambda put: put.__name__)
@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_things_of_others_in_our_folders_stay(fresh_cache, none_kept, delete, put):
    folder = program_folder(fresh_cache, 0)
    ours = set(tree(folder))
    put(folder)
    before = tree(fresh_cache)
    delete(fresh_cache)
    after = tree(fresh_cache)
    gone = {name for name in before if name not in after}
    assert gone == {f"{folder.name}/{name}" for name in ours if name != cache_folder.MARK}
    assert all(after[name] == before[name] for name in after.keys() & before.keys())


@every_deleter
def test_a_home_or_a_project_is_safe(tmp_path, monkeypatch, none_kept, delete):
    """``FASTNN_CACHE_DIR`` may name any folder."""
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path))
    for name in ("kernels/scalar.py", "kernels-old/gemm.py", "kernels-0123/x.bin", "data/rows.csv", "data/x.arrays"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    before = tree(tmp_path)
    delete(tmp_path)
    assert before.items() <= tree(tmp_path).items()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_program_replaces_a_link_not_what_it_leads_to(fresh_cache):
    path = save()
    (fresh_cache / "thesis.bin").write_bytes(b"mine")
    path.unlink()
    path.symlink_to("../thesis.bin")
    assert save() == path
    assert not path.is_symlink()
    assert (fresh_cache / "thesis.bin").read_bytes() == b"mine"


def test_only_programs_for_networks_give_way_to_newer_ones(fresh_cache, monkeypatch):
    monkeypatch.setattr(program_cache, "KEPT_NETWORKS", 1)
    folder = save("case_float32_for_0", True).parent
    foreign = [folder / "mine.network.bin", folder / "case_float32_of_mine.network.bin"]
    foreign[0].write_bytes(b"mine")
    foreign[1].mkdir()
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    save("case_float32_for_1", True)
    assert all(path.exists() for path in foreign)
    assert not (folder / "case_float32_for_0.network.bin").exists()


def test_a_folder_that_lost_its_mark_gets_it_again(fresh_cache):
    folder = save().parent
    (folder / cache_folder.MARK).unlink()
    assert clear_cache() == (0, 0)
    save("case_float64")
    assert clear_cache()[0] == 1
    assert list(fresh_cache.iterdir()) == []
