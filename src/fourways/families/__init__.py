"""One file per architecture, and the contract they keep. A family knows nothing of requests, engines or benchmarks."""
