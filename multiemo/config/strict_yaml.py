"""YAML in which a key that is given twice is an error: PyYAML would take the last one and say nothing."""

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
                raise yaml.YAMLError(f"line {line}: a key must be a word, and here is a {key_node.id}")
            if key in first:
                raise _twice(key, first[key], line)
            first[key] = line
        return super().construct_mapping(node, deep)


def _twice(key: str, first: int, second: int) -> yaml.YAMLError:
    return yaml.YAMLError(
        f"key {key!r} stands in line {first} and again in line {second}, and only one can count; put both together"
    )


def read_yaml(text: str) -> Any:
    """The values of one YAML document.

    Raises:
        yaml.YAMLError: it is no YAML, or a mapping has a key twice.
    """
    return yaml.load(text, _Loader)  # a SafeLoader
