"""The programs of engines, as far as imgpack uses them, over a directory with a store.

Run as ``fake_program.py STORE NAME ARGUMENTS``. A classic store has layers by their chains
and opens the file of one that it lacks, and of no other; podman has them by their
``diff_id``; containerd has blobs. ``calls`` in the store has a line for each call: its
arguments, the files that came in, the environment. What a test wants to go wrong it says by
the files ``fails``, ``forgets``, ``hangs``, ``lies``.
"""

import hashlib
import json
import os
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

STORE = Path(sys.argv[1])
NAME, ARGUMENTS = sys.argv[2], sys.argv[3:]
NAMED = "io.containerd.image.name"


def sha(data: bytes) -> str:
    """A digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def read(name: str, default: Any) -> Any:
    """A document of the store."""
    path = STORE / name
    return json.loads(path.read_text()) if path.exists() else default


def write(name: str, value: Any) -> None:
    """Keep a document."""
    (STORE / name).write_text(json.dumps(value))


def note(files: dict[str, bytes] | None = None) -> None:
    """Remember this call."""
    came = {name: len(data) for name, data in (files or {}).items()}
    call = {"program": NAME, "arguments": ARGUMENTS, "files": came, "env": dict(os.environ)}
    with (STORE / "calls").open("a") as log:
        log.write(json.dumps(call) + "\n")


def fail(*words: str) -> None:
    """End as a program does that could not do it."""
    print(*words, sep="\n", file=sys.stderr)
    sys.exit(1)


def came_in() -> dict[str, bytes]:
    """The archive on standard input."""
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as tar:
        for member in tar:
            opened = tar.extractfile(member)
            assert opened is not None
            files[member.name] = opened.read()
    return files


def troubled() -> None:
    """Go wrong, if that is wanted."""
    if (STORE / "forgets").exists():
        (STORE / "forgets").unlink()
        for name in ("images", "tags", "chains", "diff_ids", "blobs"):
            write(name, {} if name in ("images", "tags") else [])
    if (STORE / "fails").exists():
        fail("first line", (STORE / "fails").read_text())
    if (STORE / "hangs").exists():
        (STORE / "hanging").write_text(str(os.getpid()))
        time.sleep(600)


def keep(config: bytes, tags: list[str]) -> str:
    """An image is there now."""
    images, names = read("images", {}), read("tags", {})
    key = sha(config)
    images[key] = json.loads(config)["rootfs"]["diff_ids"]
    names.update(dict.fromkeys(tags, key))
    write("images", images)
    write("tags", names)
    return key


def load() -> None:
    """``docker load``."""
    troubled()
    files = came_in()
    note(files)
    if "oci-layout" in files:
        for entry in json.loads(files["index.json"])["manifests"]:
            names = [one for key, one in entry.get("annotations", {}).items() if key == NAMED]
            write("tags", read("tags", {}) | dict.fromkeys(names, entry["digest"]))
            write("images", read("images", {}) | {entry["digest"]: []})
        return
    chains = set(read("chains", []))
    for item in json.loads(files["manifest.json"]):
        config = files[item["Config"]]
        chain = ""
        for name, diff_id in zip(
            item["Layers"], json.loads(config)["rootfs"]["diff_ids"], strict=True
        ):
            chain = sha(f"{chain} {diff_id}".encode()) if chain else diff_id
            if chain in chains:
                continue
            if name not in files:
                fail(f"open /var/lib/docker/tmp/{name}: no such file or directory")
            if sha(files[name]) != diff_id:
                fail(f"invalid diffID for layer: expected {diff_id}, got {sha(files[name])}")
            chains.add(chain)
        keep(config, item["RepoTags"] or [])
    write("chains", sorted(chains))


def pull(place: str) -> None:
    """``podman pull dir:…``."""
    troubled()
    directory = Path(place.removeprefix("dir:"))
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    note(files)
    manifest = json.loads(files["manifest.json"])
    there = set(read("diff_ids", []))
    for layer in manifest["layers"]:
        digest = layer["digest"].removeprefix("sha256:")
        if layer["digest"] in there:
            continue
        if digest not in files:
            fail(f"Error: open {directory}/{digest}: no such file or directory")
        assert sha(files[digest]) == layer["digest"] and len(files[digest]) == layer["size"]
        there.add(layer["digest"])
    write("diff_ids", sorted(there))
    keep(files[manifest["config"]["digest"].removeprefix("sha256:")], [])


def bring() -> None:
    """``ctr images import --all-platforms -``."""
    troubled()
    files = came_in()
    note(files)
    blobs = {sha(data) for name, data in files.items() if name.startswith("blobs/")}
    write("blobs", sorted({*read("blobs", []), *blobs}))
    for entry in json.loads(files["index.json"])["manifests"]:
        name = entry["annotations"][NAMED]
        raw = files.get(f"blobs/sha256/{entry['digest'][7:]}", b"{}")
        inner = json.loads(raw)
        named = [
            one["digest"] for one in (*inner.get("layers", ()), inner.get("config", {})) if one
        ]
        write("tags", read("tags", {}) | {name: entry["digest"]})
        write("named", read("named", {}) | {entry["digest"]: named})


def check(name: str) -> None:
    """``ctr images check``."""
    note()
    print("REF TYPE DIGEST STATUS SIZE UNPACKED")
    digest = read("tags", {}).get(name)
    if digest:
        there = set(read("blobs", []))
        whole = there >= {digest, *read("named", {}).get(digest, [])}
        print(
            name, "type", digest, "complete (3/3)" if whole else "incomplete (1/3)", "1/1", "true"
        )


def inspect(names: list[str]) -> None:
    """``docker image inspect``."""
    note()
    images, tags = read("images", {}), read("tags", {})
    out = []
    for name in names:
        key = tags.get(name) or (name if ":" in name else f"sha256:{name}")
        if key in images and not (STORE / "lies").exists():
            shown = key[7:] if NAME == "podman" else key
            out.append({"Id": shown, "RootFS": {"Type": "layers", "Layers": images[key]}})
        elif key in images:
            out.append({"Id": "sha256:" + 64 * "0", "RootFS": {"Layers": []}})
    print(json.dumps(out))
    if len(out) < len(names):
        fail("Error: No such image")


def main() -> None:
    """Whatever is asked for."""
    said = read("says", {})
    line = " ".join(ARGUMENTS)
    if NAME != "ctr" and ARGUMENTS[0] in ("info", "version") and ARGUMENTS[1] != "--format":
        fail(f"unknown argument {ARGUMENTS[1]!r}")
    for beginning, answer in said.items():
        if line.startswith(beginning):
            note()
            print(answer)
            return
    if line.startswith("load image-archive"):
        troubled()
        with tarfile.open(ARGUMENTS[2]) as tar:
            note({member.name: b"" for member in tar})
    elif ARGUMENTS[0] == "load":
        load()
    elif ARGUMENTS[0] == "pull":
        pull(ARGUMENTS[-1])
    elif line == "images import --all-platforms -":
        bring()
    elif line.startswith("images check name=="):
        check(ARGUMENTS[2].removeprefix("name=="))
    elif line.startswith("content list"):
        note()
        print("\n".join(read("blobs", [])))
    elif ARGUMENTS[0] == "images":
        note()
        print("\n".join(read("images", {})))
    elif line.startswith("image inspect"):
        inspect(ARGUMENTS[2:])
    elif ARGUMENTS[0] == "tag":
        note()
        write("tags", read("tags", {}) | dict.fromkeys(ARGUMENTS[2:], f"sha256:{ARGUMENTS[1]}"))
    else:
        fail(f"unknown command {line!r}")


main()
