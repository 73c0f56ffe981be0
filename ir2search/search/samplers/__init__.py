"""Samplers: which candidate is tried next."""
