"""Files at URLs, through fsspec, which is imported where a URL is given."""
