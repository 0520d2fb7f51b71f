"""clanpy: one inventory of machines and services, rolled out to a whole fleet."""

__version__ = "0.1.0"
