"""Fixtures of what is made from a model's answers."""

from __future__ import annotations

import pytest

from tests.support.calls import Loud


@pytest.fixture
def loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever can be heard is a voice."""
    from multiemo.applications import call_speech

    monkeypatch.setattr(call_speech, "VoiceActivity", Loud)
