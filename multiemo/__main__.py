"""``python -m multiemo``."""

from multiemo.cli import main

main()
