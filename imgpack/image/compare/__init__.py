"""Two images side by side: what differs, and which difference the others come of."""
