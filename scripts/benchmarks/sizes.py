"""Sizes to compare with: what one stream of a compressor makes of an input, computed once.

The tar is in the order of names, as imgpack's layers are: the comparison is of
compression, and not of the order in which a directory happens to be read.
"""

import json
from pathlib import Path

from .run import Bench, BenchError, pipeline, say

GZIP_6 = "gzip -6"
ZSTD_FRAME = "one frame of zstd -3"
_COMPRESSORS = {GZIP_6: "gzip -6", ZSTD_FRAME: "zstd -q -T1 -3"}


def reference(bench: Bench, tree: Path, name: str) -> int | None:
    """Bytes, remembered in the work directory for each input and compressor."""
    memory = bench.work / "sizes.json"
    known: dict[str, int] = json.loads(memory.read_text()) if memory.exists() else {}
    key = f"{tree.name}: {name}"
    if key not in known:
        say(f"the size of {key}")
        script = f'tar -C "$1" --sort=name -cf - . | {_COMPRESSORS[name]} | wc -c'
        try:
            known[key] = int(bench.output(pipeline(script, tree)))
        except BenchError as error:
            say(str(error))
            return None
        memory.write_text(json.dumps(known, indent=1))
    return known[key]
