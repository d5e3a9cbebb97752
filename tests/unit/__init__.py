"""Tests in one process: no server, broker or sleep. The folders mirror the rooms of the package."""
