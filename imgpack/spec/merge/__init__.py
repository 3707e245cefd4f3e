"""Configurations on top of others: what is taken over, what is changed, what is taken away."""
