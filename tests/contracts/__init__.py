"""What every implementation of a protocol promises; the rooms join theirs."""
