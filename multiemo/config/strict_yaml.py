"""Reads YAML: rejects duplicate keys, of which PyYAML would take the last, and input that would exhaust memory."""

from __future__ import annotations

from typing import Any

import yaml

#: Maximum number of values, each counted as often as aliases repeat it. A few aliases can stand for billions of values
#: ("billion laughs"), which would be written out when the config is copied.
MAX_VALUES = 1_000_000
#: Maximum number of brackets and braces that are open at a time. Each slows down the reading of what follows.
_MAX_OPEN = 100


class _Loader(yaml.SafeLoader):
    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._sizes: dict[int, int] = {}

    def fetch_flow_collection_start(self, TokenClass: type[yaml.Token]) -> None:
        """Read an opening bracket or brace."""
        if self.flow_level >= _MAX_OPEN:
            raise yaml.YAMLError(f"line {self.line + 1}: over {_MAX_OPEN} brackets are open; it is nested too deeply")
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node, and count the values that it stands for."""
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if node is None:
            return None
        if is_alias and id(node) not in self._sizes:  # not composed yet
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: an alias (*name) in this value refers to it")
        if id(node) not in self._sizes:
            parts = list(node.value) if isinstance(node, yaml.CollectionNode) else []
            inner = [part for pair in parts for part in pair] if isinstance(node, yaml.MappingNode) else parts
            self._sizes[id(node)] = 1 + sum(self._sizes.get(id(part), MAX_VALUES) for part in inner)
        if self._sizes[id(node)] > MAX_VALUES:
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"line {line}: aliases (*name) repeat more than {MAX_VALUES} values; write them out")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[Any, int] = {}
        if not isinstance(node, yaml.MappingNode):
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: expected keys and values, found a {node.id}")
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
        yaml.YAMLError: the text is not valid YAML, a mapping has a duplicate key, or the text is nested too deeply or
            stands for too many values.
    """
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:  # such as the date 2001-13-01
        raise yaml.YAMLError(f"a value cannot be read: {error}") from None
