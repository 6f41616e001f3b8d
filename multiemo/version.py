"""The version, for those who need it without the public names."""

__version__ = "0.1.0"
