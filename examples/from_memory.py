#!/usr/bin/env python3
"""Build an image from entries in memory, and write it to an archive: from_memory.py FILE.tar"""

import sys
from pathlib import Path

import imgpack

PROGRAM = Path(__file__).parent / "hello" / "rootfs" / "hello"


def main(archive: str, greeting: str = "hello from memory") -> None:
    """Write the image to ``archive``, and print its digest."""
    tree = imgpack.entries(
        [
            imgpack.file("hello", PROGRAM.read_bytes(), mode=0o755),
            imgpack.file("etc/greeting", f"{greeting}\n".encode()),
            imgpack.symlink("usr/bin/hello", "../../hello"),
        ]
    )
    with imgpack.create(archive) as sink:
        image = imgpack.build(
            [tree],
            into=sink,
            names=["from-memory:1"],
            config=imgpack.Runtime(entrypoint=("/hello",)),
        )
    print(image.manifest.descriptor.digest)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except imgpack.ImgpackError as error:  # its class says what went wrong, its hint what to do
        sys.exit(str(error))
