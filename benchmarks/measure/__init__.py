"""What benchmarks/speed.py measures, one module a subject; each is a program of its own too."""
