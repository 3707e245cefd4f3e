"""Commands that check images."""
