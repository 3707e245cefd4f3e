"""Images, indexes and artifacts: resolved, planned, copied, built, verified."""
