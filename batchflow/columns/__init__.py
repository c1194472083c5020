"""The column codec: converts between Arrow columns and Python or NumPy values.

`value_reading` and `value_writing` convert lists of Python values, for row steps. `array_reading`
and `array_writing` convert NumPy arrays, Arrow arrays and data frame columns, for batch steps; the
conversions themselves are in `numpy_writing` and `arrow_writing`. Each of them has a table with one
converter for each kind of field. A value is never coerced silently:
`WrittenColumn.problems` names each one that doesn't fit.
"""
