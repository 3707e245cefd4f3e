#!/usr/bin/env python3
"""Build an image of a directory and push it while it is made: push_directory.py DIR REFERENCE"""

import os
import sys

import imgpack
from imgpack import api


def main(directory: str, name: str) -> None:
    """Push the image without an archive on disk, and print its digest."""
    tree = imgpack.directory(directory)
    with api.pushing() as registry:  # anonymously; Registries(…) has credentials
        image = imgpack.build(
            [tree],
            into=registry,
            names=[name],
            transforms=[api.SetOwner(0, 0), api.SetTime(0)],
            jobs=os.cpu_count() or 1,
        )
    print(image.manifest.descriptor.digest)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except imgpack.ImgpackError as error:  # its class says what went wrong, its hint what to do
        sys.exit(str(error))
