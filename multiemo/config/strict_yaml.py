"""Reads YAML and rejects duplicate keys, of which PyYAML would silently take the last."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            line, key = key_node.start_mark.line + 1, key_node.value
            if not isinstance(key, str):
                raise yaml.YAMLError(f"line {line}: a key must be a word, but this is a {key_node.id}")
            if key in first:
                raise _duplicate(key, first[key], line)
            first[key] = line
        return super().construct_mapping(node, deep)


def _duplicate(key: str, first: int, second: int) -> yaml.YAMLError:
    """The error for a key that occurs on two lines."""
    return yaml.YAMLError(f"key {key!r} is on line {first} and again on line {second}; merge the two")


def read_yaml(text: str) -> Any:
    """The values of one YAML document.

    Raises:
        yaml.YAMLError: the text is not valid YAML, or a mapping has a duplicate key.
    """
    return yaml.load(text, _Loader)  # a SafeLoader
