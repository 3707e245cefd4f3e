"""Upload sessions that outlive the process: where a half-sent blob can be continued.

One small file a session, named by the hash of registry, repository and digest.
Invariants: a Location is as good as a password, so files are 0600 in a 0700
directory; a session is taken by one process only (taking renames the file
away); a journal that cannot be read or written is no error, only no resume;
what is read back is checked like any Location before it is used; what is older
than any registry keeps an upload is removed when the journal is opened.
"""

import contextlib
import hashlib
import json
import os
import re
from typing import Final

from imgpack.files.atomic import is_temporary, replace_file, temporary_path
from imgpack.files.reading import read_regular
from imgpack.registry.http.url_policy import MAX_URL
from imgpack.spec.descriptor import Descriptor

KEPT: Final = 7 * 86400.0
"""Seconds; Distribution purges uploads after a week at the latest, others sooner."""
_MAX_FILE: Final = MAX_URL + 4096
# With the end that earlier releases gave to temporaries.
_NAME: Final = re.compile(r"[0-9a-f]{64}\.json(\.[0-9a-f]+)?")


class UploadJournal:
    """The journal in ``directory``, which is made when first needed.

    ``now`` is seconds since 1970, by which old sessions are removed (``None``: they stay).
    """

    def __init__(self, directory: str, now: float | None = None) -> None:
        self._directory = directory
        if now is not None:
            self._prune(now - KEPT)

    def _prune(self, oldest: float) -> None:
        with contextlib.suppress(OSError), os.scandir(self._directory) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    old = entry.stat(follow_symlinks=False).st_mtime < oldest
                    if old and (_NAME.fullmatch(entry.name) or is_temporary(entry.name)):
                        os.unlink(entry.path)

    def record(self, name: str, blob: Descriptor, location: str) -> None:
        """Remember that ``blob`` is being sent to ``location`` (``name``: registry/repository)."""
        content = json.dumps({"name": name, "digest": str(blob.digest), "location": location})
        with contextlib.suppress(OSError):
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            replace_file(self._path(name, blob), content.encode(), mode=0o600, sync=False)

    def take(self, name: str, blob: Descriptor) -> str | None:
        """The Location where ``blob`` was being sent, forgotten with this call; or ``None``."""
        taken = temporary_path(self._directory, "taken")
        try:
            os.rename(self._path(name, blob), taken)
            entry = json.loads(read_regular(taken, _MAX_FILE))
        except (OSError, ValueError, RecursionError):
            return None
        finally:
            with contextlib.suppress(OSError):
                os.unlink(taken)
        if not isinstance(entry, dict) or entry.get("name") != name:
            return None
        location = entry.get("location")
        same = entry.get("digest") == str(blob.digest) and isinstance(location, str)
        return location if same else None

    def forget(self, name: str, blob: Descriptor) -> None:
        """The session is over."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(name, blob))

    def _path(self, name: str, blob: Descriptor) -> str:
        key = hashlib.sha256(f"{name}\n{blob.digest}".encode()).hexdigest()
        return os.path.join(self._directory, f"{key}.json")
