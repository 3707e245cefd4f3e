"""The benchmarks behind ``scripts/bench``: inputs, runs, figures, and the page that shows them."""
