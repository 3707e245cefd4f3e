#!/usr/bin/env python3
"""Copy images of a registry to a layout, and verify all of it: mirror.py LAYOUT/ REFERENCE..."""

import sys

import imgpack
from imgpack import api


def main(layout: str, *references: str) -> None:
    """Add each to the layout, and print what it is there, once every byte was checked."""
    for reference in references:
        with imgpack.open(reference) as source, imgpack.create(layout) as sink:
            for one in imgpack.copy(source.images(), sink):
                print(one.name, one.descriptor.digest)
    with imgpack.open(layout) as opened:
        api.verify_images([named.image for named in opened.images()], layout)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except imgpack.ImgpackError as error:  # its class says what went wrong, its hint what to do
        sys.exit(str(error))
