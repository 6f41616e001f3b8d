"""The measurements of benchmarks/speed.py, one module per subject; most can also be run as a program."""
