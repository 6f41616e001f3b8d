"""Your own data: any table, and Hugging Face datasets."""
