"""The configuration: frozen models, read from YAML with dotted overrides; unknown keys are errors.

Example:
    >>> config = parse_config({"name": "x", "label_set": "polarity3", "data": {"manifest": "m.jsonl"},
    ...                        "encoders": {"text": {"name": "text_transformer"}}, "stages": ["text"]})
    >>> config.training_of("text").epochs
    20
"""

from multiemo.config.private import PrivacyConfig
from multiemo.config.reading import load_config, load_stored, parse_config, save_config, stored_config
from multiemo.config.schema import Config
from multiemo.config.sections import (
    BenchmarkConfig,
    DataConfig,
    PartConfig,
    SourceConfig,
    SplitConfig,
    StageName,
    TrainingConfig,
)

__all__ = [
    "BenchmarkConfig",
    "Config",
    "DataConfig",
    "PartConfig",
    "PrivacyConfig",
    "SourceConfig",
    "SplitConfig",
    "StageName",
    "TrainingConfig",
    "load_config",
    "load_stored",
    "parse_config",
    "save_config",
    "stored_config",
]
