"""Pruners: which of the trials that wait at a rung is trained further."""
