"""``python -m imgpack`` is the ``imgpack`` command."""

from imgpack.cli.main import run

if __name__ == "__main__":
    run()
