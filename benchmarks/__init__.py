"""Side-by-side benchmarks of Seawall and its peers; see README.md in this folder."""
