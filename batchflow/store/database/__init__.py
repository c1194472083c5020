"""DuckDB itself: files, connections, locks, the log, and the errors."""
