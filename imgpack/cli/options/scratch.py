"""Where files without a name go for a while: a stream's draft, the layers of a schema1 image."""

import tempfile

from imgpack.errors import OutputError


def scratch_directory() -> str:
    """``TMPDIR``, or ``/tmp`` mostly; asked for when it is needed. Raises ``OutputError``."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise OutputError(
            "there is no directory for temporary files", "let TMPDIR name one that can be written"
        ) from error
