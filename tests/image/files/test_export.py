"""What an image shows as one tar: the same bytes anywhere, which every program reads."""

import gc
import gzip
import hashlib
import io
import os
import tarfile

import pytest

from imgpack import api
from imgpack.api import Written
from imgpack.errors import DigestError
from tests.image.base.members import Warnings
from tests.image.base.test_tree import linked
from tests.image.files.test_extract import DIR, HIGH, LNK, LOW, REG, SYM, files_of, layer, member
from tests.store.samples import Memory, tar_of

GOLDEN = layer(
    member("z", data=b"last", mode=0o4755, uid=1000, gid=3_000_000, mtime=1_600_000_000),
    member("a", DIR, mode=0o1777, xattrs={"user.a": "1"}),
    member("a/link", SYM, linkname="../z"),
    member("a/hard", LNK, linkname="z", mode=0o4755, uid=1000, gid=3_000_000, mtime=1_600_000_000),
    member("a/pipe", tarfile.FIFOTYPE),
    member("a/null", tarfile.CHRTYPE, devmajor=1, devminor=3),
    member("n" * 120, data=bytes(70_000)),
)
GOLDEN_DIGEST = "sha256:de1915eb2dcb7993f5b685bdf93682b1e61ebe4f4c4dab81d6c106a898ed0a63"


def export(*layers: bytes, **options: object) -> tuple[bytes, Written]:
    """The tar of an image of these layers, and what is said of it."""
    out = io.BytesIO()
    done = api.export(files_of(*layers), out.write, **options)  # type: ignore[arg-type]
    return out.getvalue(), done


def names(tar: bytes) -> list[str]:
    """Its members."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as found:
        return found.getnames()


def test_the_tar_has_what_shows_in_the_order_of_paths() -> None:
    """However the layers have it; its digest and its size are told."""
    tar, done = export(LOW, HIGH)
    assert names(tar) == ["dir", "dir/new", "etc", "etc/a", "file"]
    with tarfile.open(fileobj=io.BytesIO(tar)) as found:
        file = found.extractfile("file")
        assert file is not None
        assert file.read() == b"high"
    assert done.digest.hex == hashlib.sha256(tar).hexdigest()
    assert done.size == len(tar)


def test_the_bytes_are_those_that_they_always_were() -> None:
    """With several threads too; what a build makes of the tar is the same layer."""
    tar, done = export(GOLDEN)
    assert str(done.digest) == GOLDEN_DIGEST
    assert export(GOLDEN, jobs=3)[0] == tar
    assert export(tar)[0] == tar


def test_a_compressed_tar_is_the_same_inside() -> None:
    """With the digest of what was written, and that of what it holds."""
    tar, done = export(GOLDEN)
    packed, other = export(GOLDEN, compression="gzip")
    assert (other.diff_id, other.digest.hex) == (done.digest, hashlib.sha256(packed).hexdigest())
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as found:
        assert found.getnames() == names(tar)


def test_names_of_one_file_are_links_to_the_first_that_shows() -> None:
    """One whose first name is deleted lives on; so does a file that a higher layer links to."""
    low = linked(("a", REG, "one"), ("b", LNK, "a"), ("c", LNK, "a"))
    high = linked((".wh.a", REG, ""), ("d", LNK, "c"))
    tar, _ = export(low, high)
    with tarfile.open(fileobj=io.BytesIO(tar)) as found:
        said = {one.name: (one.type, one.linkname, one.size) for one in found}
    assert said == {"b": (REG, "", 3), "c": (LNK, "b", 0), "d": (REG, "", 3)}


@pytest.mark.parametrize(("mode", "warned"), [(0o755, False), (0o700, True)])
def test_a_root_that_the_tar_cannot_have_is_told(mode: int, warned: bool) -> None:
    """It has no entry for it."""
    warnings = Warnings()
    tar, _ = export(layer(member(".", DIR, mode=mode), member("a")), reporter=warnings)
    assert names(tar) == ["a"]
    assert bool(warnings.warned) == warned


def test_an_image_without_files_is_an_empty_tar() -> None:
    """Two blocks of zeros."""
    assert export(tar_of({}))[0] == bytes(1024)


def test_nothing_stays_open_of_a_tar_that_fails() -> None:
    """Because it cannot be written, or a layer is not what it was, and while the error is kept."""
    files = files_of(GOLDEN)
    gc.collect()
    before = sorted(os.listdir("/proc/self/fd"))

    def refuse(_: bytes) -> None:
        raise KeyError

    with pytest.raises(KeyError) as first:
        api.export(files, refuse)
    changed = GOLDEN.replace(b"last", b"LAST")
    assert isinstance(files.image.source, Memory)
    blob = files.image.layers[0].descriptor.digest
    files.image.source.blobs[blob] = gzip.compress(changed, mtime=0)
    with pytest.raises(DigestError) as second:
        api.export(files, lambda data: None)
    assert sorted(os.listdir("/proc/self/fd")) == before, (first, second)
