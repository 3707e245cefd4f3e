#!/usr/bin/env python3
"""List what is in an image, as a container sees it: list_files.py ARCHIVE|LAYOUT|LOCK|REFERENCE"""

import stat
import sys

import imgpack


def main(location: str) -> None:
    """Print a line for each path of the merged layers: mode, owner, bytes, path."""
    with imgpack.open_files(location) as files:
        for entry in files.entries():
            mode, owner = stat.filemode(entry.mode), f"{entry.uid}:{entry.gid}"
            print(f"{mode} {owner:>11} {entry.size:>10} /{entry.path.decode(errors='replace')}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except imgpack.ImgpackError as error:  # its class says what went wrong, its hint what to do
        sys.exit(str(error))
