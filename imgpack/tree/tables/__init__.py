"""What each layer has, in rows that need not fit into memory, and what layers make together."""
