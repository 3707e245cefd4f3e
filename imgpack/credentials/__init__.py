"""Which credential belongs to a registry: Docker's and containers' files, and helper programs."""
