"""Adapters for the user's own data: any table, and Hugging Face data sets."""
