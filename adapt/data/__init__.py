"""Ingredients, the composer, procedural objects and sounds, and the papers' on-disk layouts."""
