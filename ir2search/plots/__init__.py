"""Figures: a data frame in, matplotlib axes out."""
