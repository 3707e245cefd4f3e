"""Archives for the tests of commands that move images."""

from pathlib import Path

from imgpack.api import AnyImage, Named, parse_name
from imgpack.store.archive.write import open_writer


def write_archive(path: Path | str, image: AnyImage, *names: str) -> str:
    """Write ``image`` to an archive or layout; its path."""
    target = str(path)
    with open_writer(target) as writer:
        writer.write([Named(image, tuple(parse_name(name) for name in names))])
    return target
