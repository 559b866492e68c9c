"""Labels by people or passes: out to where they are given, back, and how far they agree."""
