"""``python -m imgpack`` is the ``imgpack`` command."""

from imgpack.cli.entry import run

if __name__ == "__main__":
    run()
