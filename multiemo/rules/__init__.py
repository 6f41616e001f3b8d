"""The classic path to an emotion, without training: lexicon and rules for text, tone of voice, facial action units.

Each rule states its source, and every reading lists the rules that fired.
"""
