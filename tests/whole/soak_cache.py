"""Hands in the folder of the cache: whatever they do to it, programs are right, and what is foreign stays."""

import os
import shutil


class Cache:
    """A folder of compiled programs that is damaged and mended, with foreign files in it.

    Parameters
    ----------
    folder : Path
        The folder that fastnn is told to use.
    whole : Path
        A whole one, from which it is mended.
    choices : random.Random
    """

    def __init__(self, folder, whole, choices):
        self.folder, self.whole, self.choices = folder, whole, choices
        self.outside = folder.with_name("outside")
        self.foreign, self.lost = {}, []
        self.mend()

    def mend(self):
        """Look whether foreign files are as they were, and begin with a whole folder."""
        for path in [self.folder, *self.folder.glob("kernels-*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        for path, content in self.foreign.items():
            if not path.is_file() or path.read_bytes() != content:
                self.lost.append(str(path))
        self.foreign = {}
        for path in (self.folder, self.outside):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(mode=0o700, exist_ok=True)
        shutil.copytree(self.whole, self.folder, dirs_exist_ok=True)

    def attack(self):
        """Do something to it; returns what."""
        name = self.choices.choice([*self.KINDS, *["begin_anew"] * 6])  # or nothing but compilation would be seen
        programs = self._programs()
        try:
            if programs:
                getattr(self, name)(self.choices.choice(programs))
            else:
                self.mend()
                name = "begin_anew"
        except OSError as error:  # a victim was quicker
            name += f" ({type(error).__name__})"
        return name

    def _programs(self):
        """Files that fastnn wrote, or what became of them."""
        files = [path for path in sorted(self.folder.glob("kernels-*/*.bin")) if not path.is_symlink()]
        return [path for path in files if path.is_file() and path not in self.foreign]

    def begin_anew(self, path):
        self.mend()

    def truncate(self, path):
        os.truncate(path, self.choices.randrange(path.stat().st_size))

    def flip(self, path):
        content = bytearray(path.read_bytes())
        for _ in range(self.choices.choice([1, 1, 50])):
            content[self.choices.randrange(len(content))] ^= 1 << self.choices.randrange(8)
        path.write_bytes(content)

    def lengthen(self, path):
        with open(path, "ab") as file:
            file.write(b"and more")

    def delete(self, path):
        path.unlink()

    def swap(self, path):
        """Give a program the content of another one, which is whole."""
        other = self.choices.choice(self._programs())
        content = other.read_bytes()
        other.write_bytes(path.read_bytes())
        path.write_bytes(content)

    def forbid(self, path):
        path.chmod(0)

    def forbid_folder(self, path):
        path.parent.chmod(self.choices.choice([0, 0o500]))

    def open_to_all(self, path):
        self.choices.choice([path, path.parent, self.folder]).chmod(0o777)

    def folder_instead(self, path):
        path.unlink()
        path.mkdir()
        self.plant(path / "notes.txt")

    def link_instead(self, path):
        """Put a symbolic link there: to a foreign file, to nothing, to itself, or to where the program is now."""
        target = self.outside / f"{len(self.foreign)}.bin"
        kind = self.choices.choice(["foreign", "nothing", "itself", "moved"])
        if kind == "foreign":
            self.plant(target)
        if kind == "moved":
            path.rename(target)
        else:
            path.unlink()
        path.symlink_to(path if kind == "itself" else target)

    def link_folder(self, path):
        """Put a symbolic link in the place of the folder of programs."""
        moved = self.outside / f"{len(self.foreign)}-{path.parent.name}"
        path.parent.rename(moved)
        inside = [foreign for foreign in self.foreign if path.parent in foreign.parents]
        self.foreign |= {moved / foreign.relative_to(path.parent): self.foreign.pop(foreign) for foreign in inside}
        path.parent.symlink_to(self.choices.choice([moved, moved / "nowhere", path.parent]))

    def remove_folder(self, path):
        for each in path.parent.iterdir():
            if each not in self.foreign and each.is_file():
                each.unlink()

    def add(self, path):
        """Add a foreign file with a name like one of ours, or a folder of them."""
        number = len(self.foreign)
        names = [f"{number}.tmp", f"{path.name}.{number}", f"copy{number}.network.bin", f"{path.name}.00{number}.tmp.x"]
        place = self.choices.choice([self.folder, path.parent, self.folder / f"kernels-notes-{number}"])
        place.mkdir(exist_ok=True)
        self.plant(place / self.choices.choice(names))
        if place not in (self.folder, path.parent):
            os.utime(place, (1e9, 1e9))  # the first that would go if it were ours

    def plant(self, path):
        content = f"foreign {len(self.foreign)}".encode()
        path.write_bytes(content)
        self.foreign[path] = content

    KINDS = (
        "truncate", "flip", "lengthen", "delete", "swap", "forbid", "forbid_folder", "open_to_all", "folder_instead",
        "link_instead", "link_folder", "remove_folder", "add", "begin_anew",
    )  # fmt: skip
