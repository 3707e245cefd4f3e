"""The documents of the field as frozen values: strict parsing, canonical JSON, no I/O."""
