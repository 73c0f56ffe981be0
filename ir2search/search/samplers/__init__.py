"""Samplers: what is tried next."""
