"""Acted or cut clips with sound and picture."""
