"""imgpack: directory trees into container images, and images into registries.

The package is a set of rooms whose imports point one way:
``errors < spec < tree, store < layer < image < archive, registry < cli``.
Nothing is imported until it is used; import the room you need.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
