"""What goes into a layer: entries, the walk of a directory, rules, snapshots."""
