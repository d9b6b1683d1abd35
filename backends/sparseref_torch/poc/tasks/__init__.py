"""Tasks for the proof of concept, one a file, and the real data that they take."""
