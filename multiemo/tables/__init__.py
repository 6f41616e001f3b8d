"""Tables of any kind, read row by row: CSV and its variants, JSON, Parquet, Excel."""
