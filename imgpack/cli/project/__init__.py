"""``imgpack.toml``: the file that says what to build, as values of the options of ``build``."""
