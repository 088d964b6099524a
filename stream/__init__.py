"""Sensors -> synchronised windows -> runtime -> masks on the wire. Never imports torch."""
