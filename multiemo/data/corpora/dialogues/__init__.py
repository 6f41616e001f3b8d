"""Adapters of corpora of conversations: utterances with speakers and context."""
