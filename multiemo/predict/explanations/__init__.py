"""Explanations of predictions for files: from a media file to records and the page ``why.html``."""
