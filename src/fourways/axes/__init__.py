"""The four ways: accuracy, latency, memory, tuning. Each turns opened candidates into rows, never into figures."""
