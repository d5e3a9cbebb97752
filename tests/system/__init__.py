"""Tests that start processes: servers, workers, brokers, browsers, the demo, the wheel, the README."""
