"""The sampler ``ehvi``: expected hypervolume improvement at known costs.

Most samplers learn all objectives from trained candidates. This one learns only the accuracy,
because the costs are counted before training. It chooses a candidate by the hypervolume that it is
expected to add to the front at its true costs (Emmerich, Deutz and Klinkenberg, "Hypervolume-based
expected improvement", CEC 2011, for one uncertain objective).

`sampler` has the two samplers, without and with rungs. `pool` has the candidates that they compare,
`error_model` and `curve_model` have their Gaussian processes.
"""
