"""A trained model as a service over HTTP, with a page to try it in a browser."""

from multiemo.serve.app import create_app
from multiemo.serve.server import bind, run_server

__all__ = ["bind", "create_app", "run_server"]
