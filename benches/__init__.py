"""Side-by-side benches: every problem, every library, every derivative checked first."""
