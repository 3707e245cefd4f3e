"""The exit codes: unique, documented, and kept by errors that cross a process boundary."""

import pickle
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from imgpack import errors

ROOT = Path(__file__).resolve().parent.parent


def _leaves(base: type[errors.ImgpackError]) -> list[type[errors.ImgpackError]]:
    return [leaf for child in base.__subclasses__() for leaf in (child, *_leaves(child))]


LEAVES = _leaves(errors.ImgpackError)


def test_the_page_of_exit_codes_is_current() -> None:
    """docs/exit-codes.md is what scripts/exit-codes would write now."""
    command = [sys.executable, str(ROOT / "scripts" / "exit-codes"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_error_has_an_exit_code_and_a_meaning_of_its_own() -> None:
    """No two classes share a code or a sentence, and none takes a code that is reserved."""
    codes = Counter(leaf.exit_code for leaf in LEAVES)
    meanings = Counter(leaf.meaning for leaf in LEAVES)
    assert [code for code, times in codes.items() if times > 1] == []
    assert [meaning for meaning, times in meanings.items() if times > 1] == []
    reserved = {
        0,
        errors.ImgpackError.exit_code,
        errors.DIFFERENT_EXIT_CODE,
        errors.USAGE_EXIT_CODE,
        errors.FINDINGS_EXIT_CODE,
        errors.HUNG_UP_EXIT_CODE,
        errors.INTERRUPTED_EXIT_CODE,
        errors.TERMINATED_EXIT_CODE,
        errors.CLOSED_PIPE_EXIT_CODE,
    }
    assert reserved.isdisjoint(codes)
    assert all(0 < code < 128 for code in codes)


def test_the_code_of_a_signal_is_128_and_its_number() -> None:
    """As a shell reports a program that a signal ended."""
    assert errors.HUNG_UP_EXIT_CODE == 128 + signal.SIGHUP
    assert errors.INTERRUPTED_EXIT_CODE == 128 + signal.SIGINT
    assert errors.CLOSED_PIPE_EXIT_CODE == 128 + signal.SIGPIPE
    assert errors.TERMINATED_EXIT_CODE == 128 + signal.SIGTERM


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_an_error_survives_pickling(leaf: type[errors.ImgpackError]) -> None:
    """Message, hint and class are the same on the other side."""
    back = pickle.loads(pickle.dumps(leaf("what failed", "what to do")))
    assert type(back) is leaf
    assert (back.message, back.hint) == ("what failed", "what to do")
    assert str(back) == "what failed; what to do"
