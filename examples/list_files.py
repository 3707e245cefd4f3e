#!/usr/bin/env python3
"""List what is in an image, as a container sees it: list_files.py ARCHIVE|LAYOUT|REFERENCE"""

import stat
import sys

from imgpack import api


def main(location: str) -> None:
    """Print a line for each path of the merged layers: mode, owner, bytes, path."""
    with api.open_base(location) as base:
        for entry in base.tree.entries():
            mode, owner = stat.filemode(entry.mode), f"{entry.uid}:{entry.gid}"
            print(f"{mode} {owner:>11} {entry.size:>10} /{entry.path.decode(errors='replace')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
