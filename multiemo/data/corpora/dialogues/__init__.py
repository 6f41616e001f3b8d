"""Conversations: utterances with speakers and context."""
