"""The ``__main__`` of what scripts/zipapp makes: unpack once, verify, and run from there.

The directory is named by the digest of the list of files, is made under another name and
renamed when it is whole and on disk: what has the name is complete. Every start looks that
it is the user's own, that no other may write to it, and that each file still has its size;
if not, it is unpacked again. Nothing is imported from a directory that is not verified.
"""

import contextlib
import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036 (another Python may be the one that starts it)
    sys.exit("imgpack: error: it needs Python 3.11 or later")


def main():
    """Find or make the directory, put it before all others, and start."""
    listed = __loader__.get_data("files")
    wanted, *lines = listed.decode().splitlines()
    if wanted != made_for():
        end(f"this file is for {wanted}, and this is {made_for()}")
    files = [line.split(" ", 2) for line in lines]
    place = os.path.join(cache(), directory_name(listed))
    try:
        if not is_ours(os.path.dirname(place)) or not is_whole(place, files):
            unpack(place, files)
    except OSError as problem:
        end(f"cannot unpack to {place}: {problem.strerror}; set XDG_CACHE_HOME to another place")
    sys.path.insert(0, place)
    try:
        from imgpack.cli.entry import run
    except ImportError as problem:
        end(f"cannot start: {problem}; this file is for {wanted}")
    run()


def made_for():
    """The Python and platform that compiled parts are for: ``cpython-311 x86_64-linux-gnu``."""
    libc = getattr(sys.implementation, "_multiarch", sys.platform)
    return f"{sys.implementation.cache_tag} {libc} {os.uname().machine}"


def cache():
    """The user's directory for what can be made again."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):
        home = os.path.expanduser("~/.cache")
    return os.path.join(home, "imgpack-app")


def directory_name(listed):
    """The digest of the list, which has the digest of every file."""
    import hashlib

    return hashlib.sha256(listed).hexdigest()[:32]


def is_ours(directory):
    """Whether it is a directory of the user's that nobody else may write to."""
    try:
        status = os.lstat(directory)
    except FileNotFoundError:
        return False
    return status.st_uid == os.geteuid() and status.st_mode & 0o170022 == 0o040000


def is_whole(place, files):
    """Whether the directory is the user's alone, and every file has its size."""
    try:
        return is_ours(place) and all(
            os.path.getsize(os.path.join(place, name)) == int(size) for _, size, name in files
        )
    except OSError:
        return False


def unpack(place, files):
    """Write every file into a new directory, and give it its name; one that is there goes."""
    import hashlib
    import shutil
    import tempfile

    above = os.path.dirname(place)
    os.makedirs(above, mode=0o700, exist_ok=True)
    if not is_ours(above):
        end(f"{above} is another user's, or others may write to it: set XDG_CACHE_HOME")
    remove_old(above)
    made = tempfile.mkdtemp(prefix="new-", dir=above)
    try:
        for digest, _, name in files:
            data = __loader__.get_data(os.path.join("packages", name))
            if hashlib.sha256(data).hexdigest() != digest:
                end(f"{__loader__.archive} is damaged: {name} is not what was packed")
            path = os.path.join(made, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb") as out:
                out.write(data)
        os.sync()
        name_it(made, place, files)
    finally:
        for left in (made, made + ".old"):
            shutil.rmtree(left, ignore_errors=True)


def remove_old(above):
    """Remove what those left that were killed while they unpacked, a day ago or more."""
    import shutil
    import time

    for entry in os.scandir(above):
        with contextlib.suppress(FileNotFoundError):  # another process has just renamed its own
            if entry.name.startswith("new-") and entry.stat().st_mtime < time.time() - 86400:
                shutil.rmtree(entry.path, ignore_errors=True)


def name_it(made, place, files):
    """Rename; another process may have been as fast, and what is broken makes room."""
    try:
        os.rename(made, place)
    except OSError:
        if is_whole(place, files):
            return
        with contextlib.suppress(FileNotFoundError):
            os.rename(place, made + ".old")
        os.rename(made, place)


def end(message, code=24):
    """Say why it cannot start, and end as imgpack does then."""
    print(f"imgpack: error: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        end("interrupted", 130)
