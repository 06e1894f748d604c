"""Side-by-side measurements: `python -m bench`, `bench.growth`, `bench.startup`, `bench.memory`."""
