"""The column codec: Python and NumPy values to Arrow columns and back, for each field type."""
