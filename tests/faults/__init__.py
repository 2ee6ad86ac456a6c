"""Tests in which things break: processes, servers and databases."""
