"""Why a model decided as it did: attribution between and inside the modalities, and how far it can be trusted.

The functions work on prepared samples. ``multiemo.predict.explanations`` applies them to files and writes the page.
"""
