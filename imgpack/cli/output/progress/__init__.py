"""How work in progress is shown: bars on a terminal, lines in a log, events for a program."""
