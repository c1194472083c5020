"""DuckDB itself: connections, locks, its log, and what it says when something is wrong."""
