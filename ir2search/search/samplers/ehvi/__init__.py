"""The sampler ``ehvi``: expected hypervolume improvement at known costs.

Most samplers learn all objectives from trained candidates. Here the costs are taken as they are
counted, and only the accuracy is learned. A candidate is chosen by the hypervolume that it is
expected to add to the front at its true costs (Emmerich, Deutz and Klinkenberg, "Hypervolume-based
expected improvement", CEC 2011, for one uncertain objective).

`sampler` has the two samplers, without and with rungs; `pool` the candidates that they compare;
`error_model` and `curve_model` their Gaussian processes; `features` and `gains` what both share.
"""
