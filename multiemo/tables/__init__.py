"""Read tables row by row: CSV and its variants, JSON, Parquet and Excel."""
