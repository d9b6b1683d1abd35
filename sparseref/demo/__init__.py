"""The main job: a real sentence encoder in any sparse format, verified layer by layer, with what it costs in quality."""
